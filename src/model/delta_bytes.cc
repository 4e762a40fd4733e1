#include "model/delta_bytes.h"

#include <algorithm>

#include "model/message_bytes.h"
#include "model/pack.h"
#include "model/registry.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

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

constexpr bool is_told(uint32_t metadata_field) {
  switch (metadata_field) {
    case pb::Metadata::kNameFieldNumber:
    case pb::Metadata::kTenantFieldNumber:
    case pb::Metadata::kRevisionFieldNumber:
    case pb::Metadata::kGenerationFieldNumber:
    case pb::Metadata::kCreateTimeFieldNumber:
    case pb::Metadata::kUpdateTimeFieldNumber:
      return false;
    default:
      return true;
  }
}

// Takes off the next entry that is told; empty at the end. Nothing: it cannot be read.
std::optional<std::string_view> take_told(std::string_view& metadata) {
  while (!metadata.empty()) {
    Field entry;
    if (!take_entry(metadata, entry)) return std::nullopt;
    if (is_told(entry.number)) return entry.all;
  }
  return std::string_view();
}

bool same_told(std::string_view before, std::string_view after) {
  while (true) {
    const auto in_before = take_told(before);
    const auto in_after = take_told(after);
    if (!in_before || !in_after || *in_before != *in_after) return false;
    if (in_before->empty()) return true;
  }
}

// What is told of metadata; false: see delta_of_bytes().
bool told_metadata(std::string_view bytes, std::string& out) {
  Fields fields(bytes);
  for (; fields.good() && fields.number() != UINT32_MAX; fields.next())
    if (is_told(fields.number())) out += fields.field().all;
  return fields.good();
}

// What differs of one side.
struct Side {
  std::string metadata;
  std::string rest;  // all other fields but status
  bool spec = false;
  std::string status;  // the field, with its tag
  size_t status_size = 0;

  void add(uint32_t field, std::string_view all, size_t size) {
    if (field == kStatusField) {
      status = all;
      status_size = size;
    } else {
      rest += all;
      spec = spec || (field == kSpecField && size > 0);
    }
  }
  [[nodiscard]] std::string bytes(bool with_status) const {
    std::string out;
    if (!metadata.empty()) append_message(out, kMetadataField, metadata);
    out += rest;
    if (with_status) out += status;
    return out;
  }
};

// One field that both may have, where it is not the same.
bool strip_field(const Descriptor& type, const Field* before, const Field* after, Side& out_before,
                 Side& out_after) {
  const uint32_t number = (before != nullptr ? before : after)->number;
  const FieldDescriptor* field = type.FindFieldByNumber(static_cast<int>(number));
  if (field == nullptr) return false;
  if (before == nullptr || after == nullptr || is_whole(*field)) {
    if (before != nullptr) out_before.add(number, before->all, before->value.size());
    if (after != nullptr) out_after.add(number, after->all, after->value.size());
    return true;
  }
  std::string left;
  std::string right;
  if (!strip(*field->message_type(), before->value, after->value, left, right)) return false;
  if (left.empty() && right.empty()) return true;
  for (const auto& [bytes, side] : {std::pair(&left, &out_before), std::pair(&right, &out_after)}) {
    std::string all;
    append_message(all, number, *bytes);
    side->add(number, all, bytes->size());
  }
  return true;
}

bool strip_metadata(std::string_view before, std::string_view after, Side& out_before,
                    Side& out_after) {
  if (same_told(before, after)) return true;
  std::string left;
  std::string right;
  if (!told_metadata(before, left) || !told_metadata(after, right)) return false;
  return left == right ||
         strip(*pb::Metadata::descriptor(), left, right, out_before.metadata, out_after.metadata);
}

}  // namespace

std::optional<Delta> delta_of_bytes(const Kind& kind, const DeltaSides& sides) {
  Side before;
  Side after;
  Fields a(sides.before);
  Fields b(sides.after);
  const bool both = sides.before_is && sides.after_is;
  if (!strip_metadata(a.has(kMetadataField) ? a.field().value : std::string_view(),
                      b.has(kMetadataField) ? b.field().value : std::string_view(), before, after))
    return std::nullopt;
  if (a.has(kMetadataField)) a.next();
  if (b.has(kMetadataField)) b.next();
  while (a.good() && b.good()) {
    const uint32_t number = std::min(a.number(), b.number());
    if (number == UINT32_MAX) break;
    const bool in_a = a.has(number);
    const bool in_b = b.has(number);
    const bool same = in_a && in_b && a.field().all == b.field().all;
    if (!same && !strip_field(*kind.descriptor, in_a ? &a.field() : nullptr,
                              in_b ? &b.field() : nullptr, before, after))
      return std::nullopt;
    if (in_a) a.next();
    if (in_b) b.next();
  }
  if (!a.good() || !b.good()) return std::nullopt;
  if (!sides.after_is) before.status_size = 0;
  Delta out;
  out.status_only =
      both && before.metadata.empty() && after.metadata.empty() && !before.spec && !after.spec;
  out.status_left_out = before.status_size + after.status_size > kDeltaStatusBytes;
  out.before = before.bytes(!out.status_left_out && sides.after_is);
  out.after = after.bytes(!out.status_left_out);
  return out;
}

}  // namespace frameworks
