#include "store/sealed_fields.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "base/text.h"
#include "frameworks/v1/options.pb.h"
#include "model/registry.h"
#include "model/snapshot.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

bool is_sealed_field(const FieldDescriptor& field) {
  return field.options().GetExtension(pb::rules).sealed();
}

bool can_be_sealed(const FieldDescriptor& field) {
  if (field.is_map())
    return field.message_type()->map_key()->cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
           field.message_type()->map_value()->type() == FieldDescriptor::TYPE_STRING;
  return field.type() == FieldDescriptor::TYPE_STRING && !field.is_repeated();
}

// Sealed fields of a spec lie in it, or in messages it has once: that names them without an index.
bool holds_sealed(const Descriptor& type, std::set<const Descriptor*>& seen) {
  if (!seen.insert(&type).second) return false;
  bool holds = false;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (is_sealed_field(field)) CHECK(can_be_sealed(field));
    holds |= is_sealed_field(field);
    if (field.message_type() != nullptr && !field.is_map()) {
      const bool inside = holds_sealed(*field.message_type(), seen);
      CHECK(!inside || !field.is_repeated());
      holds |= inside;
    }
  }
  return holds;
}

// Gives each value of a sealed field, with its path, and takes it back changed.
template <typename Visit>
Status visit_field(Message& message, const FieldDescriptor& field, const std::string& path,
                   const Visit& visit) {
  const auto& reflection = *message.GetReflection();
  if (!field.is_map()) {
    std::string value = reflection.GetString(message, &field);
    RETURN_IF_ERROR(visit(path, value));
    reflection.SetString(&message, &field, std::move(value));
    return {};
  }
  const FieldDescriptor* key = field.message_type()->map_key();
  const FieldDescriptor* mapped = field.message_type()->map_value();
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    Message& entry = *reflection.MutableRepeatedMessage(&message, &field, i);
    std::string value = entry.GetReflection()->GetString(entry, mapped);
    RETURN_IF_ERROR(visit(path + "." + entry.GetReflection()->GetString(entry, key), value));
    entry.GetReflection()->SetString(&entry, mapped, std::move(value));
  }
  return {};
}

template <typename Visit>
Status visit_sealed(Message& message, const std::string& prefix, const Visit& visit) {
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string path = prefix + field->json_name();
    if (is_sealed_field(*field)) {
      RETURN_IF_ERROR(visit_field(message, *field, path, visit));
    } else if (field->message_type() != nullptr && !field->is_repeated()) {
      RETURN_IF_ERROR(visit_sealed(*reflection.MutableMessage(&message, field), path + ".", visit));
    }
  }
  return {};
}

std::string place_of(const Kind& kind, const Message& message, const std::string& path) {
  const pb::Metadata& metadata = kind.metadata(message);
  return fmt::format("{}\x1f{}\x1f{}\x1f{}", kind.name, metadata.tenant(), metadata.name(), path);
}

std::unique_ptr<Message> copy(const Message& message) {
  std::unique_ptr<Message> out(message.New());
  out->CopyFrom(message);
  return out;
}

// Changes every value by `change(path, place, value)`.
template <typename Change>
Result<Resource> changed(const Resource& resource, const Change& change) {
  std::unique_ptr<Message> message = copy(resource.message());
  RETURN_IF_ERROR(visit_sealed(*message, "", [&](const std::string& path, std::string& value) {
    const Status done = change(place_of(resource.kind(), *message, path), value);
    if (done) return done;
    return Status(done.error().with_context(resource.key().text() + ": " + path));
  }));
  return Resource(resource.kind(), std::shared_ptr<const Message>(std::move(message)));
}

}  // namespace

bool has_sealed_fields(const Kind& kind) {
  static const std::set<const Descriptor*> kKinds = [] {
    std::set<const Descriptor*> out;
    for (const Kind& each : all_kinds())
      if (std::set<const Descriptor*> seen; holds_sealed(*each.descriptor, seen))
        out.insert(each.descriptor);
    return out;
  }();
  return kKinds.contains(kind.descriptor);
}

void seal_fields(const SealKeys& keys, const Kind& kind, const Message* current, Message& message) {
  std::map<std::string, std::string> known;
  if (current != nullptr) {
    const auto before = copy(*current);
    static_cast<void>(visit_sealed(*before, "", [&](const std::string& path, std::string& value) {
      known[path] = value;
      return Status();
    }));
  }
  static_cast<void>(visit_sealed(message, "", [&](const std::string& path, std::string& value) {
    const std::string place = place_of(kind, message, path);
    if (value.empty()) return Status();
    if (is_sealed(value)) {
      // Taken over from a snapshot; anything else of this form is a value that somebody gave.
      const auto opened = keys.open(value, place);
      if (opened || opened.error().code() == Code::kNotFound) return Status();
    }
    if (const auto before = known.find(path); before != known.end()) {
      const auto opened = keys.open(before->second, place);
      if (opened && equal_secrets(*opened, value)) {
        value = before->second;
        return Status();
      }
    }
    value = keys.seal(value, place);
    return Status();
  }));
}

Result<Resource> open_fields(const SealKeys& keys, const Resource& resource) {
  return changed(resource, [&](const std::string& place, std::string& value) -> Status {
    if (value.empty()) return {};
    ASSIGN_OR_RETURN(value, keys.open(value, place));
    return {};
  });
}

Result<Resource> reseal_fields(const SealKeys& keys, const Resource& resource) {
  return changed(resource, [&](const std::string& place, std::string& value) -> Status {
    if (!is_sealed(value) || keys.is_newest(value)) return {};
    ASSIGN_OR_RETURN(const std::string opened, keys.open(value, place));
    value = keys.seal(opened, place);
    return {};
  });
}

Status check_sealed(const SealKeys& keys, const Snapshot& snapshot) {
  for (const Kind& kind : all_kinds()) {
    if (!has_sealed_fields(kind)) continue;
    for (const Resource& resource : snapshot.list(kind)) {
      const auto opened =
          changed(resource, [&](const std::string& place, std::string& value) -> Status {
            if (!is_sealed(value)) return {};
            const auto done = keys.open(value, place);
            return done ? Status() : Status(done.error());
          });
      if (!opened) return opened.error();
    }
  }
  return {};
}

}  // namespace frameworks
