#include "model/field_rules.h"

#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "frameworks/v1/options.pb.h"
#include "model/json.h"
#include "model/registry.h"
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

// What there is to check of a field; fields without anything are left out.
struct FieldCheck {
  const FieldDescriptor* field = nullptr;
  const pb::FieldRules* rules = nullptr;
  const Kind* target = nullptr;      // of a reference
  std::vector<FieldCheck> inside{};  // of a message
};

bool checks_value(const FieldDescriptor& field) {
  const pb::FieldRules& rules = rules_of(field);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM:
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return true;
    case FieldDescriptor::CPPTYPE_STRING:
      return rules.format() != pb::FORMAT_ANY || !rules.reference().empty();
    default:
      return is_number(field) && (rules.min() != 0 || rules.max() != 0);
  }
}

std::vector<FieldCheck> checks_of(const Descriptor& type) {
  std::vector<FieldCheck> out;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    FieldCheck check{&field, &rules_of(field), find_kind(rules_of(field).reference())};
    if (!is_opaque(field)) check.inside = checks_of(*field.message_type());
    const bool value = !field.is_map() && checks_value(field);
    if (value || check.rules->required() || check.rules->immutable() || !check.inside.empty())
      out.push_back(std::move(check));
  }
  return out;
}

// Of the metadata of all kinds, and of the spec of each.
struct KindChecks {
  std::vector<FieldCheck> metadata = checks_of(*pb::Metadata::descriptor());
  std::map<const Kind*, std::vector<FieldCheck>> specs;
  KindChecks() {
    for (const Kind& kind : all_kinds())
      specs[&kind] = checks_of(*kind.descriptor->FindFieldByName("spec")->message_type());
  }
};

// Where a field stands; a text only where it is told.
struct Path {
  const Path* parent = nullptr;
  std::string_view name;
  int index = -1;  // in a list
  [[nodiscard]] std::string text() const {
    std::string out = parent == nullptr ? std::string(name) : field_path(parent->text(), name);
    if (index >= 0) out += fmt::format("[{}]", index);
    return out;
  }
};

// Of single texts and words, which is what most fields that cannot change are.
bool is_same(const Message& a, const Message& b, const FieldDescriptor& field) {
  if (field.is_repeated()) return false;
  std::string room_a, room_b;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING)
    return a.GetReflection()->GetStringReference(a, &field, &room_a) ==
           b.GetReflection()->GetStringReference(b, &field, &room_b);
  return field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
         a.GetReflection()->GetEnumValue(a, &field) == b.GetReflection()->GetEnumValue(b, &field);
}

class Checker {
 public:
  // `before`: the whole resource as it was; may be null.
  Checker(Validation& out, const Message* before) : out_(out), before_(before) {}

  void message(const std::vector<FieldCheck>& checks, const Message& message, const Message* before,
               const Path& path) {
    for (const FieldCheck& check : checks) field(check, message, before, path);
  }

 private:
  void field(const FieldCheck& check, const Message& message, const Message* before,
             const Path& parent) {
    const FieldDescriptor& field = *check.field;
    const Reflection& reflection = *message.GetReflection();
    const Path path{&parent, field.json_name()};
    const bool set = field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                                         : reflection.HasField(message, &field);
    if (check.rules->immutable() && before != nullptr) immutable(message, *before, field, path);
    if (!set) {
      if (check.rules->required()) out_.fail(path.text(), required(field));
      return;
    }
    if (field.is_map()) return;
    if (!field.is_repeated()) {
      value(check, message, -1, path);
      if (!check.inside.empty())
        this->message(check.inside, reflection.GetMessage(message, &field),
                      before == nullptr ? nullptr : &reflection.GetMessage(*before, &field), path);
      return;
    }
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Path at{&parent, field.json_name(), i};
      value(check, message, i, at);
      if (!check.inside.empty())
        this->message(check.inside, reflection.GetRepeatedMessage(message, &field, i), nullptr, at);
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
                 const Path& path) {
    if (is_same(message, before, field)) return;
    const std::string now = text_of(message, field);
    const std::string then = text_of(before, field);
    if (now == then) return;
    const auto shown = [](const std::string& text) { return text.empty() ? "nothing" : text; };
    out_.fail(path.text(),
              fmt::format("cannot change from {} to {}: delete the resource and create it anew",
                          shown(then), shown(now)));
  }

  // One value, of a list where `i` is not negative.
  void value(const FieldCheck& check, const Message& message, int i, const Path& path) {
    const FieldDescriptor& field = *check.field;
    const Reflection& reflection = *message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      std::string room;
      string(i >= 0 ? reflection.GetRepeatedStringReference(message, &field, i, &room)
                    : reflection.GetStringReference(message, &field, &room),
             check, path);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const int number = i >= 0 ? reflection.GetRepeatedEnumValue(message, &field, i)
                                : reflection.GetEnumValue(message, &field);
      const auto* known = field.enum_type()->FindValueByNumber(number);
      if (known == nullptr || number == 0)
        out_.fail(path.text(),
                  fmt::format("{} is unknown: use {}", number, enum_words(*field.enum_type())));
    } else if (is_number(field)) {
      range(number_of(message, field, i), *check.rules, path);
    }
  }

  void string(const std::string& text, const FieldCheck& check, const Path& path) {
    if (const auto problem = format_problem(check.rules->format(), text))
      return out_.fail(path.text(), *problem);
    const std::string& kind = check.rules->reference();
    if (kind.empty()) return;
    const Resource* named =
        check.target == nullptr ? nullptr : out_.snapshot().find(*check.target, {}, text);
    if (named == nullptr)
      out_.fail(path.text(), fmt::format("{} \"{}\" does not exist: create it, or correct the name",
                                         kind, text));
    // What was there before stays until it is deleted in its turn.
    if (named != nullptr && named->metadata().has_delete_time() && !referred_before(kind, text))
      out_.fail(path.text(), being_deleted(kind, text));
  }

  bool referred_before(const std::string& kind, const std::string& name) const {
    bool found = false;
    if (before_ != nullptr)
      for_each_reference(
          *before_, [&](const std::string&, const std::string& target, const std::string& value) {
            found |= target == kind && value == name;
          });
    return found;
  }

  void range(double number, const pb::FieldRules& rules, const Path& path) {
    if (!std::isfinite(number)) return out_.fail(path.text(), "is not a finite number: change it");
    if (rules.min() == 0 && rules.max() == 0) return;
    if (number < rules.min() || number > rules.max())
      out_.fail(path.text(), fmt::format("{:.15g} is out of range: use {:.15g} to {:.15g}", number,
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
  static const KindChecks checks;
  const auto* spec = resource.kind().descriptor->FindFieldByName("spec");
  Checker checker(out, before);
  checker.message(checks.metadata, resource.metadata(), nullptr, {nullptr, "metadata"});
  const Reflection& reflection = *message.GetReflection();
  checker.message(checks.specs.at(&resource.kind()), reflection.GetMessage(message, spec),
                  before == nullptr ? nullptr : &reflection.GetMessage(*before, spec),
                  {nullptr, "spec"});
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
