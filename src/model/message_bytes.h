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

// What follows a tag, as its wire type says; of what has a size or is fixed, the bytes.
inline bool take_value(std::string_view& bytes, uint64_t tag, std::string_view& value) {
  uint64_t number = 0;
  value = {};
  switch (tag & 7) {
    case 0:
      return take_varint(bytes, number);
    case 1:
      return take_bytes(bytes, 8, value);
    case 2:
      return take_varint(bytes, number) && take_bytes(bytes, number, value);
    case 5:
      return take_bytes(bytes, 4, value);
    default:
      return false;
  }
}

// One entry: its tag and its value.
inline bool take_entry(std::string_view& bytes, Field& out) {
  const std::string_view from = bytes;
  uint64_t tag = 0;
  if (!take_varint(bytes, tag) || !take_value(bytes, tag, out.value)) return false;
  out.number = static_cast<uint32_t>(tag >> 3);
  out.all = from.substr(0, from.size() - bytes.size());
  return true;
}

// The fields of a message, one at a time. They lie in order of their numbers.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : entry_(bytes.data()), rest_(bytes) {
    read_tag();
    next();
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool has(uint32_t number) const { return good_ && field_.number == number; }
  // Behind all numbers at the end.
  [[nodiscard]] uint32_t number() const { return field_.number; }
  [[nodiscard]] const Field& field() const { return field_; }
  void next() {
    if (ahead_ == Ahead::kEnd) {
      field_ = {UINT32_MAX, {}, {}};
      return;
    }
    const uint32_t before = field_.number;
    const char* const start = entry_;
    field_.number = static_cast<uint32_t>(tag_ >> 3);
    good_ = ahead_ == Ahead::kTag && field_.number > before;
    while (good_) {
      good_ = take_value(rest_, tag_, field_.value);
      entry_ = rest_.data();
      read_tag();
      // What follows may be of the same field.
      if (ahead_ != Ahead::kTag || static_cast<uint32_t>(tag_ >> 3) != field_.number) break;
    }
    field_.all = {start, static_cast<size_t>(entry_ - start)};
    if (!good_) field_.number = UINT32_MAX;
  }

 private:
  enum class Ahead { kTag, kEnd, kBroken };
  void read_tag() {
    ahead_ = rest_.empty() ? Ahead::kEnd : take_varint(rest_, tag_) ? Ahead::kTag : Ahead::kBroken;
  }

  const char* entry_;      // where the next entry begins
  std::string_view rest_;  // what follows its tag
  uint64_t tag_ = 0;
  Ahead ahead_ = Ahead::kEnd;
  Field field_;
  bool good_ = true;
};

inline void append_message(std::string& out, uint32_t number, std::string_view bytes) {
  append_varint(out, uint64_t{number} << 3 | 2);
  append_varint(out, bytes.size());
  out += bytes;
}

}  // namespace frameworks
