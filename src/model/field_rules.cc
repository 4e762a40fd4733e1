#include "model/field_rules.h"

#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "frameworks/v1/options.pb.h"
#include "model/json.h"
#include "model/rules.h"
#include "model/snapshot.h"
#include "model/tree.h"
#include "model/words.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

const pb::FieldRules& rules_of(const FieldDescriptor& field) {
  return field.options().GetExtension(pb::rules);
}

// Variables and times have no rules inside.
bool is_opaque(const FieldDescriptor& field) {
  return field.is_map() || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
         field.message_type()->file()->package() == "google.protobuf";
}

bool is_number(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return true;
    default:
      return false;
  }
}

double number_of(const Message& message, const FieldDescriptor& field, int i) {
  const Reflection& r = *message.GetReflection();
  const bool list = i >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return list ? r.GetRepeatedInt32(message, &field, i) : r.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(list ? r.GetRepeatedInt64(message, &field, i)
                                      : r.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return list ? r.GetRepeatedUInt32(message, &field, i) : r.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(list ? r.GetRepeatedUInt64(message, &field, i)
                                      : r.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return static_cast<double>(list ? r.GetRepeatedFloat(message, &field, i)
                                      : r.GetFloat(message, &field));
    default:
      return list ? r.GetRepeatedDouble(message, &field, i) : r.GetDouble(message, &field);
  }
}

// The field as JSON text; empty where it is not set.
std::string text_of(const Message& message, const FieldDescriptor& field) {
  const boost::json::value json = to_json(message);
  const auto* value = json.get_object().if_contains(field.json_name());
  return value == nullptr ? std::string() : json_text(*value);
}

std::string being_deleted(const std::string& kind, const std::string& name) {
  return fmt::format("{} \"{}\" is being deleted: wait until it is gone, or name another", kind,
                     name);
}

class Checker {
 public:
  // `before`: the whole resource as it was; may be null.
  Checker(Validation& out, const Message* before) : out_(out), before_(before) {}

  void message(const Message& message, const Message* before, const std::string& path) {
    const Descriptor& type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) field(message, before, *type.field(i), path);
  }

 private:
  void field(const Message& message, const Message* before, const FieldDescriptor& field,
             const std::string& parent) {
    const Reflection& reflection = *message.GetReflection();
    const pb::FieldRules& rules = rules_of(field);
    const std::string path = field_path(parent, field.json_name());
    const bool set = field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                                         : reflection.HasField(message, &field);
    if (rules.immutable() && before != nullptr) immutable(message, *before, field, path);
    if (!set) {
      if (rules.required()) out_.fail(path, required(field));
      return;
    }
    if (field.is_map()) return;
    if (!field.is_repeated()) {
      value(message, field, -1, path);
      if (!is_opaque(field))
        this->message(reflection.GetMessage(message, &field),
                      before == nullptr ? nullptr : &reflection.GetMessage(*before, &field), path);
      return;
    }
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      value(message, field, i, at);
      if (!is_opaque(field))
        this->message(reflection.GetRepeatedMessage(message, &field, i), nullptr, at);
    }
  }

  static std::string required(const FieldDescriptor& field) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM)
      return fmt::format("is required: use {}", enum_words(*field.enum_type()));
    if (const std::string& kind = rules_of(field).reference(); !kind.empty())
      return fmt::format("is required: name a {}", kind);
    return "is required: set it";
  }

  void immutable(const Message& message, const Message& before, const FieldDescriptor& field,
                 const std::string& path) {
    const std::string now = text_of(message, field);
    const std::string then = text_of(before, field);
    if (now == then) return;
    const auto shown = [](const std::string& text) { return text.empty() ? "nothing" : text; };
    out_.fail(path,
              fmt::format("cannot change from {} to {}: delete the resource and create it anew",
                          shown(then), shown(now)));
  }

  // One value, of a list where `i` is not negative.
  void value(const Message& message, const FieldDescriptor& field, int i, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      const std::string text = i >= 0 ? reflection.GetRepeatedString(message, &field, i)
                                      : reflection.GetString(message, &field);
      string(text, rules_of(field), path);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const int number = i >= 0 ? reflection.GetRepeatedEnumValue(message, &field, i)
                                : reflection.GetEnumValue(message, &field);
      const auto* known = field.enum_type()->FindValueByNumber(number);
      if (known == nullptr || number == 0)
        out_.fail(path,
                  fmt::format("{} is unknown: use {}", number, enum_words(*field.enum_type())));
    } else if (is_number(field)) {
      range(number_of(message, field, i), rules_of(field), path);
    }
  }

  void string(const std::string& text, const pb::FieldRules& rules, const std::string& path) {
    if (const auto problem = format_problem(rules.format(), text)) return out_.fail(path, *problem);
    if (rules.reference().empty()) return;
    const Resource* named = out_.snapshot().find(ResourceKey{rules.reference(), {}, text});
    if (named == nullptr)
      out_.fail(path, fmt::format("{} \"{}\" does not exist: create it, or correct the name",
                                  rules.reference(), text));
    // What was there before stays until it is deleted in its turn.
    if (named != nullptr && named->metadata().has_delete_time() &&
        !referred_before(rules.reference(), text))
      out_.fail(path, being_deleted(rules.reference(), text));
  }

  bool referred_before(const std::string& kind, const std::string& name) const {
    bool found = false;
    if (before_ != nullptr)
      for_each_reference(*before_, [&](const std::string&, const std::string& target,
                                       const std::string& value) {
        found |= target == kind && value == name;
      });
    return found;
  }

  void range(double number, const pb::FieldRules& rules, const std::string& path) {
    if (!std::isfinite(number)) return out_.fail(path, "is not a finite number: change it");
    if (rules.min() == 0 && rules.max() == 0) return;
    if (number < rules.min() || number > rules.max())
      out_.fail(path, fmt::format("{:.15g} is out of range: use {:.15g} to {:.15g}", number,
                                  rules.min(), rules.max()));
  }

  Validation& out_;
  const Message* before_;
};

void visit_references(const Message& message, const std::string& path,
                      const VisitReference& visit) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string at = field_path(path, field->json_name());
    const std::string& kind = rules_of(*field).reference();
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      if (!is_opaque(*field))
        visit_references(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                              : reflection.GetMessage(message, field),
                         field->is_repeated() ? fmt::format("{}[{}]", at, i) : at, visit);
      else if (!kind.empty() && field->is_repeated())
        visit(fmt::format("{}[{}]", at, i), kind, reflection.GetRepeatedString(message, field, i));
      else if (!kind.empty())
        visit(at, kind, reflection.GetString(message, field));
    }
  }
}

bool type_references(const Descriptor& type, const std::string& target) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (rules_of(field).reference() == target) return true;
    if (!is_opaque(field) && type_references(*field.message_type(), target)) return true;
  }
  return false;
}

void check_tenant(const Resource& resource, const Message* before, Validation& out) {
  const pb::Metadata& metadata = resource.metadata();
  const Resource* tenant = metadata.tenant().empty()
                               ? nullptr
                               : out.snapshot().find(ResourceKey{"Tenant", {}, metadata.tenant()});
  if (!resource.kind().tenant_owned) {
    if (!metadata.tenant().empty())
      out.fail("metadata.tenant", fmt::format("\"{}\": a {} belongs to no tenant: remove it",
                                              metadata.tenant(), resource.kind().name));
  } else if (metadata.tenant().empty()) {
    out.fail("metadata.tenant", fmt::format("is required: name the tenant that the {} belongs to",
                                            resource.kind().name));
  } else if (tenant == nullptr) {
    out.fail("metadata.tenant",
             fmt::format("Tenant \"{}\" does not exist: create it, or correct the "
                         "name",
                         metadata.tenant()));
  } else if (tenant->metadata().has_delete_time() && before == nullptr) {
    out.fail("metadata.tenant", being_deleted("Tenant", metadata.tenant()));
  }
}

// Whoever creates a resource may choose its uid: it must not be able to hold anything.
void check_uid(const pb::Metadata& metadata, Validation& out) {
  constexpr size_t kMaxUid = 64;
  const std::string& uid = metadata.uid();
  const bool good = uid.size() <= kMaxUid && std::all_of(uid.begin(), uid.end(), [](char c) {
                      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
                    });
  if (!good)
    out.fail("metadata.uid", fmt::format("has other characters than letters, digits and hyphens, "
                                         "or more than {}: give a UUID, or none",
                                         kMaxUid));
}

void check_labels(const pb::Metadata& metadata, Validation& out) {
  constexpr size_t kMaxKey = 128;
  constexpr size_t kMaxValue = 256;
  for (const auto& [key, value] : metadata.labels())
    if (key.empty() || key.size() > kMaxKey || value.size() > kMaxValue)
      out.fail(field_path("metadata.labels", key.substr(0, kMaxKey)),
               fmt::format("a label has 1 to {} characters and its value at most {}: shorten it",
                           kMaxKey, kMaxValue));
}

}  // namespace

void check_field_rules(const Resource& resource, const Message* before, Validation& out) {
  const Message& message = resource.message();
  const auto* spec = resource.kind().descriptor->FindFieldByName("spec");
  Checker checker(out, before);
  checker.message(resource.metadata(), nullptr, "metadata");
  const Reflection& reflection = *message.GetReflection();
  checker.message(reflection.GetMessage(message, spec),
                  before == nullptr ? nullptr : &reflection.GetMessage(*before, spec), "spec");
  check_tenant(resource, before, out);
  check_uid(resource.metadata(), out);
  check_labels(resource.metadata(), out);
}

void for_each_reference(const Message& message, const VisitReference& visit) {
  const auto* spec = message.GetDescriptor()->FindFieldByName("spec");
  visit_references(message.GetReflection()->GetMessage(message, spec), "spec", visit);
}

bool may_reference(const Kind& kind, const std::string& target) {
  return type_references(*kind.descriptor->FindFieldByName("spec")->message_type(), target);
}

}  // namespace frameworks
