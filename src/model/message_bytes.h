// Reading a message field by field from its bytes. For this folder only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/varint.h"

namespace frameworks {

// All of a message's entries for one field, as they lie in its bytes.
struct Field {
  uint32_t number = 0;
  std::string_view all;    // tags and values
  std::string_view value;  // of the last entry, where it is a message: its bytes
};

// One entry: its tag and its value.
inline bool take_entry(std::string_view& bytes, Field& out) {
  const std::string_view from = bytes;
  uint64_t tag = 0;
  uint64_t number = 0;
  if (!take_varint(bytes, tag)) return false;
  bool good = false;
  switch (tag & 7) {
    case 0:
      good = take_varint(bytes, number);
      break;
    case 1:
      good = take_bytes(bytes, 8, out.value);
      break;
    case 2:
      good = take_varint(bytes, number) && take_bytes(bytes, number, out.value);
      break;
    case 5:
      good = take_bytes(bytes, 4, out.value);
      break;
    default:
      break;
  }
  out.number = static_cast<uint32_t>(tag >> 3);
  out.all = from.substr(0, from.size() - bytes.size());
  return good;
}

// The fields of a message, one at a time. They lie in order of their numbers.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) { next(); }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool has(uint32_t number) const { return good_ && field_.number == number; }
  // Behind all numbers at the end.
  [[nodiscard]] uint32_t number() const { return field_.number; }
  [[nodiscard]] const Field& field() const { return field_; }
  void next() {
    const uint32_t before = field_.number;
    if (rest_.empty()) {
      field_ = {UINT32_MAX, {}, {}};
      return;
    }
    good_ = take_entry(rest_, field_);
    for (Field more; good_ && is_more();) {
      good_ = take_entry(rest_, more);
      field_.all = {field_.all.data(), field_.all.size() + more.all.size()};
      field_.value = more.value;
    }
    good_ = good_ && field_.number > before;
    if (!good_) field_.number = UINT32_MAX;
  }

 private:
  // Whether what follows is of the same field.
  [[nodiscard]] bool is_more() const {
    std::string_view ahead = rest_;
    uint64_t tag = 0;
    return take_varint(ahead, tag) && static_cast<uint32_t>(tag >> 3) == field_.number;
  }

  std::string_view rest_;
  Field field_;
  bool good_ = true;
};

inline void append_message(std::string& out, uint32_t number, std::string_view bytes) {
  append_varint(out, uint64_t{number} << 3 | 2);
  append_varint(out, bytes.size());
  out += bytes;
}

}  // namespace frameworks
