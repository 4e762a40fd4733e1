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
  return metadata_field >= pb::Metadata::kUidFieldNumber &&
         metadata_field <= pb::Metadata::kDeleteTimeFieldNumber;
}
static_assert(pb::Metadata::kUidFieldNumber == 5 && pb::Metadata::kRevisionFieldNumber == 6 &&
              pb::Metadata::kGenerationFieldNumber == 7 &&
              pb::Metadata::kCreateTimeFieldNumber == 8 &&
              pb::Metadata::kUpdateTimeFieldNumber == 9 &&
              pb::Metadata::kDeleteTimeFieldNumber == 10);

// The value of a field that is a number.
int64_t number_of(const Field& field) {
  std::string_view bytes = field.all;
  uint64_t tag = 0;
  uint64_t number = 0;
  CHECK(take_varint(bytes, tag) && take_varint(bytes, number));
  return static_cast<int64_t>(number);
}

bool same_metadata_but_store_fields(std::string_view a, std::string_view b) {
  Fields left(a);
  Fields right(b);
  while (true) {
    while (is_of_the_store(left.number())) left.next();
    while (is_of_the_store(right.number())) right.next();
    CHECK(left.good() && right.good());
    if (left.field().all != right.field().all) return false;
    if (left.number() == UINT32_MAX) return true;
    left.next();
    right.next();
  }
}

}  // namespace

StoreFields store_fields(std::string_view message) {
  StoreFields out;
  Fields fields(field_bytes(message, kMetadataField));
  for (; fields.number() <= pb::Metadata::kDeleteTimeFieldNumber; fields.next()) {
    const Field& field = fields.field();
    switch (field.number) {
      case pb::Metadata::kUidFieldNumber:
        out.uid = field.value;
        break;
      case pb::Metadata::kGenerationFieldNumber:
        out.generation = number_of(field);
        break;
      case pb::Metadata::kCreateTimeFieldNumber:
        out.create_time = field.value;
        break;
      case pb::Metadata::kDeleteTimeFieldNumber:
        out.delete_time = field.value;
        break;
      default:
        break;
    }
  }
  CHECK(fields.good());
  return out;
}

bool same_but_store_fields(std::string_view a, std::string_view b) {
  const Fields left(a);
  const Fields right(b);
  CHECK(left.has(kMetadataField) && right.has(kMetadataField));
  return a.substr(left.field().all.size()) == b.substr(right.field().all.size()) &&
         same_metadata_but_store_fields(left.field().value, right.field().value);
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
