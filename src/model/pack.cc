#include "model/pack.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "model/message_bytes.h"
#include "model/registry.h"

namespace frameworks {

google::protobuf::Any pack(const Resource& resource) {
  google::protobuf::Any out;
  out.PackFrom(resource.message());
  return out;
}

Result<Resource> unpack(const google::protobuf::Any& any) {
  std::string type;
  const Kind* kind = nullptr;
  if (google::protobuf::Any::ParseAnyTypeUrl(any.type_url(), &type)) {
    for (const Kind& each : all_kinds())
      if (each.descriptor->full_name() == type) kind = &each;
  }
  if (kind == nullptr)
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\" is no kind of resource", any.type_url()));
  std::unique_ptr<Message> message = kind->make();
  if (!message->ParseFromString(any.value()))
    return Error(Code::kInvalidArgument, fmt::format("the bytes are no {}", kind->name));
  return Resource(*kind, std::shared_ptr<const Message>(std::move(message)));
}

namespace {

// `size` is what ByteSizeLong() just said.
void write_deterministic(const Message& message, size_t size, std::string& out) {
  out.resize(size);
  google::protobuf::io::ArrayOutputStream stream(out.data(), static_cast<int>(size));
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeWithCachedSizes(&coded);
  CHECK(!coded.HadError());
}

}  // namespace

std::string deterministic_bytes(const Message& message) {
  std::string out;
  write_deterministic(message, message.ByteSizeLong(), out);
  return out;
}

std::string_view field_bytes(std::string_view message, uint32_t field) {
  for (Fields fields(message); fields.good() && fields.number() <= field; fields.next())
    if (fields.number() == field) return fields.field().value;
  return {};
}

bool has_field(std::string_view message, uint32_t field) {
  Fields fields(message);
  while (fields.good() && fields.number() < field) fields.next();
  return fields.has(field);
}

namespace {

constexpr bool is_of_the_store(uint32_t metadata_field) {
  switch (metadata_field) {
    case pb::Metadata::kUidFieldNumber:
    case pb::Metadata::kRevisionFieldNumber:
    case pb::Metadata::kGenerationFieldNumber:
    case pb::Metadata::kCreateTimeFieldNumber:
    case pb::Metadata::kUpdateTimeFieldNumber:
    case pb::Metadata::kDeleteTimeFieldNumber:
      return true;
    default:
      return false;
  }
}

// Takes off the next entry that is the caller's; empty at the end. What this program does not know,
// in no order behind what it knows, may end with what cannot be read, which is one entry then.
std::string_view take_callers(std::string_view& metadata) {
  while (!metadata.empty()) {
    const std::string_view from = metadata;
    Field entry;
    if (!take_entry(metadata, entry)) {
      metadata = {};
      return from;
    }
    if (!is_of_the_store(entry.number)) return entry.all;
  }
  return {};
}

}  // namespace

StoreFields store_fields(std::string_view message) {
  StoreFields out;
  std::string_view metadata = field_bytes(message, kMetadataField);
  uint64_t tag = 0;
  std::string_view value;
  // A tag has its field's number and a wire type: 0 is a number, 2 has a size.
  constexpr auto sized = [](uint64_t field) { return field << 3 | 2; };
  while (take_varint(metadata, tag)) {
    if (tag == uint64_t{pb::Metadata::kGenerationFieldNumber} << 3) {
      uint64_t number = 0;
      if (!take_varint(metadata, number)) break;
      out.generation = static_cast<int64_t>(number);
      continue;
    }
    if (!take_value(metadata, tag, value)) break;
    if (tag == sized(pb::Metadata::kUidFieldNumber)) out.uid = value;
    if (tag == sized(pb::Metadata::kCreateTimeFieldNumber)) out.create_time = value;
    if (tag == sized(pb::Metadata::kDeleteTimeFieldNumber)) out.delete_time = value;
  }
  return out;
}

bool same_but_store_fields(std::string_view a, std::string_view b) {
  const Fields left(a);
  const Fields right(b);
  CHECK(left.has(kMetadataField) && right.has(kMetadataField));
  if (a.substr(left.field().all.size()) != b.substr(right.field().all.size())) return false;
  std::string_view in_a = left.field().value;
  std::string_view in_b = right.field().value;
  while (!in_a.empty() || !in_b.empty())
    if (take_callers(in_a) != take_callers(in_b)) return false;
  return true;
}

std::string with_metadata(std::string_view message, const pb::Metadata& metadata) {
  const Fields fields(message);
  CHECK(fields.has(kMetadataField));
  std::string out;
  out.reserve(message.size() + 32);
  append_message(out, kMetadataField, deterministic_bytes(metadata));
  out += message.substr(fields.field().all.size());
  return out;
}

bool same_bytes(const Message& a, const Message& b) {
  const size_t size = a.ByteSizeLong();
  if (size != b.ByteSizeLong()) return false;
  thread_local std::string left;
  thread_local std::string right;
  write_deterministic(a, size, left);
  write_deterministic(b, size, right);
  return left == right;
}

}  // namespace frameworks
