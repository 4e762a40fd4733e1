#include "server/public_form.h"

#include <fmt/format.h>
#include <google/protobuf/util/field_mask_util.h>

#include <set>

#include "frameworks/v1/options.pb.h"
#include "model/json.h"
#include "model/pack.h"
#include "model/registry.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

bool is_ours(const Descriptor& descriptor) {
  return descriptor.file()->package() == "frameworks.v1";
}

bool find_secrets(const Descriptor& descriptor, std::set<const Descriptor*>& seen) {
  if (!seen.insert(&descriptor).second) return false;  // ends the walk through recursive types
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (field.options().GetExtension(pb::rules).secret()) return true;
    const Descriptor* type = field.message_type();
    if (type != nullptr && is_ours(*type) && find_secrets(*type, seen)) return true;
  }
  return false;
}

// Whether messages of this type can hold a secret at any depth. Known for all kinds before the
// first answer: a thread that asked while another one is still looking must not be told no.
bool holds_secrets(const Descriptor& descriptor) {
  static const std::set<const Descriptor*> kKinds = [] {
    std::set<const Descriptor*> out;
    for (const Kind& kind : all_kinds())
      if (std::set<const Descriptor*> seen; find_secrets(*kind.descriptor, seen))
        out.insert(kind.descriptor);
    return out;
  }();
  return kKinds.contains(&descriptor);
}

void mask_field(Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  const std::string mask(kSecretMask);
  if (field.is_map()) {
    const FieldDescriptor& value = *field.message_type()->map_value();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      Message& entry = *reflection.MutableRepeatedMessage(&message, &field, i);
      if (value.cpp_type() == FieldDescriptor::CPPTYPE_STRING)
        entry.GetReflection()->SetString(&entry, &value, mask);
    }
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field.is_repeated()) {
    if (reflection.HasField(message, &field)) reflection.SetString(&message, &field, mask);
  } else {
    reflection.ClearField(&message, &field);
  }
}

void mask(Message& message) {
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->options().GetExtension(pb::rules).secret()) {
      mask_field(message, *field);
    } else if (field->message_type() != nullptr && !field->is_map() &&
               is_ours(*field->message_type())) {
      if (!field->is_repeated()) {
        mask(*reflection.MutableMessage(&message, field));
      } else {
        for (int i = 0; i < reflection.FieldSize(message, field); ++i)
          mask(*reflection.MutableRepeatedMessage(&message, field, i));
      }
    }
  }
}

}  // namespace

google::protobuf::Any public_form(const Resource& resource) {
  if (!holds_secrets(*resource.kind().descriptor)) return pack(resource);
  std::shared_ptr<Message> copy(resource.message().New());
  copy->CopyFrom(resource.message());
  mask(*copy);
  return pack(Resource(resource.kind(), copy));
}

google::protobuf::Any public_form(const Resource& resource,
                                  const google::protobuf::FieldMask& fields) {
  if (fields.paths().empty()) return public_form(resource);
  std::shared_ptr<Message> copy(resource.message().New());
  copy->CopyFrom(resource.message());
  mask(*copy);
  google::protobuf::util::FieldMaskUtil::TrimMessage(fields, copy.get());
  return pack(Resource(resource.kind(), copy));
}

Result<google::protobuf::FieldMask> fields_of(
    const Kind& kind, const google::protobuf::RepeatedPtrField<std::string>& paths) {
  google::protobuf::FieldMask out;
  std::vector<Violation> violations;
  for (const std::string& path : paths) {
    google::protobuf::FieldMask one;
    const bool known = google::protobuf::util::FieldMaskUtil::FromJsonString(path, &one) &&
                       one.paths_size() == 1 &&
                       google::protobuf::util::FieldMaskUtil::GetFieldDescriptors(
                           kind.descriptor, one.paths(0), nullptr);
    if (known)
      out.add_paths(one.paths(0));
    else
      violations.push_back({{}, 0, "", "fields", fmt::format("\"{}\": no such field", path)});
  }
  if (!violations.empty()) return Error::invalid(std::move(violations));
  return out;
}

}  // namespace frameworks
