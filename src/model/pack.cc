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
