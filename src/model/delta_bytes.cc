#include "model/delta_bytes.h"

#include <algorithm>
#include <array>

#include "model/registry.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// All of a message's entries for one field, as they lie in its bytes.
struct Field {
  uint32_t number = 0;
  std::string_view all;    // tags and values
  std::string_view value;  // of the last entry, where it is a message: its bytes
};

bool take_varint(std::string_view& bytes, uint64_t& out) {
  out = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    out |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool take_bytes(std::string_view& bytes, uint64_t size, std::string_view& out) {
  if (size > bytes.size()) return false;
  out = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return true;
}

// One entry: its tag and its value.
bool take_entry(std::string_view& bytes, Field& out) {
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
    for (Field more; good_ && !rest_.empty();) {
      std::string_view ahead = rest_;
      good_ = take_entry(ahead, more);
      if (!good_ || more.number != field_.number) break;
      rest_ = ahead;
      field_.all = {field_.all.data(), field_.all.size() + more.all.size()};
      field_.value = more.value;
    }
    good_ = good_ && field_.number > before;
    if (!good_) field_.number = UINT32_MAX;
  }

 private:
  std::string_view rest_;
  Field field_;
  bool good_ = true;
};

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void append_message(std::string& out, uint32_t number, std::string_view bytes) {
  append_varint(out, uint64_t{number} << 3 | 2);
  append_varint(out, bytes.size());
  out += bytes;
}

// The entries of a map that the other does not have just so.
void append_other_entries(std::string_view entries, std::string_view other, std::string& out) {
  std::vector<std::string_view> known;
  for (Field entry; !other.empty() && take_entry(other, entry);) known.push_back(entry.all);
  std::sort(known.begin(), known.end());
  for (Field entry; !entries.empty() && take_entry(entries, entry);)
    if (!std::binary_search(known.begin(), known.end(), entry.all)) out += entry.all;
}

bool is_whole(const FieldDescriptor& field) {
  return field.is_repeated() || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
         field.message_type()->file()->package() == "google.protobuf";
}

// What differs between two messages of a type; false: see delta_of_bytes().
bool strip(const Descriptor& type, std::string_view before, std::string_view after,
           std::string& out_before, std::string& out_after) {
  Fields a(before);
  Fields b(after);
  while (a.good() && b.good()) {
    const uint32_t number = std::min(a.number(), b.number());
    if (number == UINT32_MAX) return true;
    const FieldDescriptor* field = type.FindFieldByNumber(static_cast<int>(number));
    if (field == nullptr) return false;
    const bool in_a = a.has(number);
    const bool in_b = b.has(number);
    if (!in_a || !in_b) {
      if (in_a) out_before += a.field().all;
      if (in_b) out_after += b.field().all;
    } else if (a.field().all == b.field().all) {
      // The same.
    } else if (field->is_map()) {
      append_other_entries(a.field().all, b.field().all, out_before);
      append_other_entries(b.field().all, a.field().all, out_after);
    } else if (is_whole(*field)) {
      out_before += a.field().all;
      out_after += b.field().all;
    } else {
      std::string left;
      std::string right;
      if (!strip(*field->message_type(), a.field().value, b.field().value, left, right))
        return false;
      if (!left.empty() || !right.empty()) {
        append_message(out_before, number, left);
        append_message(out_after, number, right);
      }
    }
    if (in_a) a.next();
    if (in_b) b.next();
  }
  return false;
}

constexpr std::array kUntold = {
    pb::Metadata::kNameFieldNumber,       pb::Metadata::kTenantFieldNumber,
    pb::Metadata::kRevisionFieldNumber,   pb::Metadata::kGenerationFieldNumber,
    pb::Metadata::kCreateTimeFieldNumber, pb::Metadata::kUpdateTimeFieldNumber};

bool told_metadata(std::string_view bytes, std::string& out) {
  Fields fields(bytes);
  for (; fields.good() && fields.number() != UINT32_MAX; fields.next())
    if (std::find(kUntold.begin(), kUntold.end(), static_cast<int>(fields.number())) ==
        kUntold.end())
      out += fields.field().all;
  return fields.good();
}

// A message's bytes with the metadata that is told of, and what `keep` says of the others.
bool prepare(std::string_view bytes, uint32_t metadata, std::string& out) {
  Fields fields(bytes);
  for (; fields.good() && fields.number() != UINT32_MAX; fields.next()) {
    if (fields.number() != metadata) {
      out += fields.field().all;
      continue;
    }
    std::string told;
    if (!told_metadata(fields.field().value, told)) return false;
    append_message(out, metadata, told);
  }
  return fields.good();
}

struct Parts {
  std::string all;  // without an empty metadata
  size_t metadata = 0;
  size_t spec = 0;
  size_t status = 0;
};

// Sizes, and the bytes without metadata that says nothing, and without status where it is not told.
bool take_apart(const Kind& kind, std::string_view bytes, bool with_status, Parts& out) {
  const auto number = [&](const char* name) {
    return static_cast<uint32_t>(kind.descriptor->FindFieldByName(name)->number());
  };
  const uint32_t metadata = number("metadata");
  const uint32_t spec = number("spec");
  const uint32_t status = number("status");
  Fields fields(bytes);
  for (; fields.good() && fields.number() != UINT32_MAX; fields.next()) {
    const Field& field = fields.field();
    if (field.number == status && !with_status) continue;
    if (field.number == metadata) out.metadata = field.value.size();
    if (field.number == spec) out.spec = field.value.size();
    if (field.number == status) out.status = field.value.size();
    if (field.number != metadata || !field.value.empty()) out.all += field.all;
  }
  return fields.good();
}

}  // namespace

std::optional<Delta> delta_of_bytes(const Kind& kind, const DeltaSides& sides) {
  const auto metadata =
      static_cast<uint32_t>(kind.descriptor->FindFieldByName("metadata")->number());
  std::string before;
  std::string after;
  if (!prepare(sides.before, metadata, before) || !prepare(sides.after, metadata, after))
    return std::nullopt;
  const bool both = sides.before_is && sides.after_is;
  if (both) {
    std::string left;
    std::string right;
    if (!strip(*kind.descriptor, before, after, left, right)) return std::nullopt;
    before.swap(left);
    after.swap(right);
  }
  Parts a;
  Parts b;
  if (!take_apart(kind, before, sides.after_is, a) || !take_apart(kind, after, true, b))
    return std::nullopt;
  Delta out;
  out.status_only = both && a.metadata + b.metadata + a.spec + b.spec == 0;
  out.status_left_out = a.status + b.status > kDeltaStatusBytes;
  if (out.status_left_out) {
    Parts without_a;
    Parts without_b;
    take_apart(kind, before, false, without_a);
    take_apart(kind, after, false, without_b);
    a = std::move(without_a);
    b = std::move(without_b);
  }
  out.before = std::move(a.all);
  out.after = std::move(b.all);
  return out;
}

}  // namespace frameworks
