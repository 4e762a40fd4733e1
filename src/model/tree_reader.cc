// Fills messages from trees, by descriptor.
#include <fmt/format.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/text.h"
#include "frameworks/v1/options.pb.h"
#include "model/documents.h"
#include "model/json.h"
#include "model/registry.h"
#include "model/tree.h"
#include "model/words.h"

namespace frameworks {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, change}));
    }
  }
  return row[b.size()];
}

// Letters and digits only, so that memory_mb, memory-mb and MemoryMB find memoryMb.
std::string loose(std::string_view key) {
  std::string out;
  for (const char c : to_lower(key))
    if (c != '_' && c != '-') out += c;
  return out;
}

std::string unknown_field(std::string_view key, const Descriptor& type, bool resource) {
  std::vector<std::string> names;
  if (resource) names = {"apiVersion", "kind"};
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->json_name());
  const std::string wanted = loose(key.substr(0, 64));
  const std::string* best = nullptr;
  size_t best_distance = wanted.size() < 4 ? 2 : 3;
  for (const std::string& name : names) {
    const size_t distance = edit_distance(wanted, loose(name));
    if (distance < best_distance) {
      best_distance = distance;
      best = &name;
    }
  }
  if (best != nullptr) return fmt::format("unknown field: did you mean \"{}\"?", *best);
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list.empty() ? "unknown field: there are none here, remove it"
                      : fmt::format("unknown field: use {}", list);
}

class Reader {
 public:
  Reader(TreeProblems& problems, FieldLines* lines) : problems_(problems), lines_(lines) {}

  void message(const Tree& tree, Message& out, const std::string& path) {
    const Descriptor& type = *out.GetDescriptor();
    if (well_known(tree, out, path)) return;
    if (tree.type != Tree::Type::kMap) {
      if (tree.type != Tree::Type::kNull) wrong_type(tree, path, "a map");
      return;
    }
    const bool resource = !type.options().GetExtension(pb::kind).plural().empty();
    for (const Tree::Member& member : tree.members) {
      const std::string at = field_path(path, member.key);
      if (lines_ != nullptr) lines_->add(at, member.line);
      if (resource && (member.key == "apiVersion" || member.key == "kind")) {
        header(member, type);
      } else if (const FieldDescriptor* field = find_field(type, member.key)) {
        this->field(member.value, out, *field, at);
      } else {
        problems_.violations.push_back(
            {{}, member.line, {}, at, unknown_field(member.key, type, resource)});
      }
    }
  }

 private:
  static const FieldDescriptor* find_field(const Descriptor& type, const std::string& key) {
    const FieldDescriptor* field = type.FindFieldByCamelcaseName(key);
    return field != nullptr && field->json_name() == key ? field : nullptr;
  }

  void wrong_type(const Tree& tree, const std::string& path, std::string_view wanted) {
    const bool unquoted = wanted == "a string" && tree.type != Tree::Type::kList &&
                          tree.type != Tree::Type::kMap && tree.type != Tree::Type::kNull;
    problems_.add(tree, path,
                  fmt::format("{} where {} is wanted{}", tree.describe(), wanted,
                              unquoted ? ": put it in quotes" : ""));
  }

  void header(const Tree::Member& member, const Descriptor& type) {
    const std::string& wanted = member.key == "kind" ? type.name() : std::string(kApiVersion);
    if (member.value.type != Tree::Type::kString || member.value.text != wanted)
      problems_.add(member.value, member.key,
                    fmt::format("{} where \"{}\" is wanted", member.value.describe(), wanted));
  }

  void field(const Tree& tree, Message& out, const FieldDescriptor& field,
             const std::string& path) {
    if (field.is_map()) return map(tree, out, field, path);
    if (field.is_repeated()) return list(tree, out, field, path);
    const bool value = field.message_type() != nullptr &&
                       field.message_type() == google::protobuf::Value::descriptor();
    if (tree.type == Tree::Type::kNull && !value) return;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
      return message(tree, *out.GetReflection()->MutableMessage(&out, &field), path);
    scalar(tree, out, field, path);
  }

  void list(const Tree& tree, Message& out, const FieldDescriptor& field, const std::string& path) {
    if (tree.type == Tree::Type::kNull) return;
    if (tree.type != Tree::Type::kList) return wrong_type(tree, path, "a list");
    for (size_t i = 0; i < tree.items.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      if (lines_ != nullptr) lines_->add(at, tree.items[i].line);
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
        message(tree.items[i], *out.GetReflection()->AddMessage(&out, &field), at);
      else
        scalar(tree.items[i], out, field, at);
    }
  }

  void map(const Tree& tree, Message& out, const FieldDescriptor& field, const std::string& path) {
    if (tree.type == Tree::Type::kNull) return;
    if (tree.type != Tree::Type::kMap) return wrong_type(tree, path, "a map");
    const FieldDescriptor& value = *field.message_type()->map_value();
    for (const Tree::Member& member : tree.members) {
      const std::string at = field_path(path, member.key);
      if (lines_ != nullptr) lines_->add(at, member.line);
      Message& entry = *out.GetReflection()->AddMessage(&out, &field);
      Tree key;
      key.type = Tree::Type::kString;
      key.text = member.key;
      if (field.message_type()->map_key()->cpp_type() == FieldDescriptor::CPPTYPE_STRING)
        entry.GetReflection()->SetString(&entry, field.message_type()->map_key(), member.key);
      else
        problems_.add(member.value, at, "only maps with names as keys can be read");
      if (masked(member.value, field))
        problems_.add(member.value, at, kMasked);
      else
        this->field(member.value, entry, value, at);
    }
  }

  static constexpr const char* kMasked =
      "\"(secret)\" stands for a value that is not shown: give the value";

  static bool masked(const Tree& tree, const FieldDescriptor& field) {
    return tree.text == kSecretMask && field.options().GetExtension(pb::rules).secret();
  }

  void scalar(const Tree& tree, Message& out, const FieldDescriptor& field,
              const std::string& path) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        if (tree.type != Tree::Type::kBoolean) return wrong_type(tree, path, "true or false");
        return set(out, field, &Reflection::SetBool, &Reflection::AddBool, tree.boolean);
      case FieldDescriptor::CPPTYPE_INT32:
        return integer<int32_t>(tree, out, field, path, &Reflection::SetInt32,
                                &Reflection::AddInt32);
      case FieldDescriptor::CPPTYPE_INT64:
        return integer<int64_t>(tree, out, field, path, &Reflection::SetInt64,
                                &Reflection::AddInt64);
      case FieldDescriptor::CPPTYPE_UINT32:
        return integer<uint32_t>(tree, out, field, path, &Reflection::SetUInt32,
                                 &Reflection::AddUInt32);
      case FieldDescriptor::CPPTYPE_UINT64:
        return integer<uint64_t>(tree, out, field, path, &Reflection::SetUInt64,
                                 &Reflection::AddUInt64);
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        return number(tree, out, field, path);
      case FieldDescriptor::CPPTYPE_ENUM:
        return enumeration(tree, out, field, path);
      case FieldDescriptor::CPPTYPE_STRING:
        return text(tree, out, field, path);
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return;  // not a scalar
    }
  }

  template <typename Set, typename Add, typename T>
  static void set(Message& out, const FieldDescriptor& field, Set set, Add add, const T& value) {
    const Reflection& reflection = *out.GetReflection();
    if (field.is_repeated())
      (reflection.*add)(&out, &field, value);
    else
      (reflection.*set)(&out, &field, value);
  }

  template <typename T, typename Set, typename Add>
  void integer(const Tree& tree, Message& out, const FieldDescriptor& field,
               const std::string& path, Set setter, Add adder) {
    if (tree.type != Tree::Type::kInteger) return wrong_type(tree, path, "a whole number");
    if (!std::in_range<T>(tree.integer))
      return problems_.add(
          tree, path,
          fmt::format("{} is out of range: use {} to {}", tree.text, std::numeric_limits<T>::min(),
                      std::numeric_limits<T>::max()));
    set(out, field, setter, adder, static_cast<T>(tree.integer));
  }

  void number(const Tree& tree, Message& out, const FieldDescriptor& field,
              const std::string& path) {
    if (tree.type != Tree::Type::kInteger && tree.type != Tree::Type::kNumber)
      return wrong_type(tree, path, "a number");
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT)
      set(out, field, &Reflection::SetFloat, &Reflection::AddFloat,
          static_cast<float>(tree.number));
    else
      set(out, field, &Reflection::SetDouble, &Reflection::AddDouble, tree.number);
  }

  void enumeration(const Tree& tree, Message& out, const FieldDescriptor& field,
                   const std::string& path) {
    const auto* value =
        tree.type == Tree::Type::kString ? find_enum(*field.enum_type(), tree.text) : nullptr;
    if (value == nullptr) {
      const std::string words = enum_words(*field.enum_type());
      if (tree.type == Tree::Type::kString)
        return problems_.add(tree, path,
                             fmt::format("\"{}\" is unknown: use {}", tree.text, words));
      return wrong_type(tree, path, "one of " + words);
    }
    set(out, field, &Reflection::SetEnumValue, &Reflection::AddEnumValue, value->number());
  }

  void text(const Tree& tree, Message& out, const FieldDescriptor& field, const std::string& path) {
    if (tree.type != Tree::Type::kString) return wrong_type(tree, path, "a string");
    if (masked(tree, field)) return problems_.add(tree, path, kMasked);
    std::string value = tree.text;
    if (field.type() == FieldDescriptor::TYPE_BYTES) {
      Result<std::string> bytes = base64_decode(tree.text);
      if (!bytes) return wrong_type(tree, path, "base64 text");
      value = std::move(*bytes);
    }
    if (field.is_repeated())
      out.GetReflection()->AddString(&out, &field, std::move(value));
    else
      out.GetReflection()->SetString(&out, &field, std::move(value));
  }

  // The types of protobuf that have a form of their own.
  bool well_known(const Tree& tree, Message& out, const std::string& path) {
    using google::protobuf::Any;
    const Descriptor* type = out.GetDescriptor();
    if (type == google::protobuf::Duration::descriptor()) {
      duration(tree, static_cast<google::protobuf::Duration&>(out), path);
    } else if (type == google::protobuf::Timestamp::descriptor()) {
      auto& time = static_cast<google::protobuf::Timestamp&>(out);
      if (tree.type != Tree::Type::kString ||
          !google::protobuf::util::TimeUtil::FromString(tree.text, &time))
        wrong_type(tree, path, "a time such as 2026-01-31T12:00:00Z");
    } else if (type == google::protobuf::Value::descriptor()) {
      value(tree, static_cast<google::protobuf::Value&>(out), path);
    } else if (type == google::protobuf::Struct::descriptor()) {
      structure(tree, static_cast<google::protobuf::Struct&>(out), path);
    } else if (type == google::protobuf::ListValue::descriptor()) {
      values(tree, static_cast<google::protobuf::ListValue&>(out), path);
    } else if (type == Any::descriptor()) {
      any(tree, static_cast<Any&>(out), path);
    } else {
      return false;
    }
    return true;
  }

  void duration(const Tree& tree, google::protobuf::Duration& out, const std::string& path) {
    const Result<Duration> parsed = tree.type == Tree::Type::kString
                                        ? parse_duration(tree.text)
                                        : Result<Duration>(Error(Code::kInvalidArgument, ""));
    if (!parsed) return wrong_type(tree, path, "a duration such as 500ms, 5s, 2m, 1h");
    out.set_seconds(parsed->count() / 1'000'000'000);
    out.set_nanos(static_cast<int32_t>(parsed->count() % 1'000'000'000));
  }

  void value(const Tree& tree, google::protobuf::Value& out, const std::string& path) {
    switch (tree.type) {
      case Tree::Type::kNull:
        return out.set_null_value(google::protobuf::NULL_VALUE);
      case Tree::Type::kBoolean:
        return out.set_bool_value(tree.boolean);
      case Tree::Type::kInteger:
      case Tree::Type::kNumber:
        return out.set_number_value(tree.number);
      case Tree::Type::kString:
        return out.set_string_value(tree.text);
      case Tree::Type::kList:
        return values(tree, *out.mutable_list_value(), path);
      case Tree::Type::kMap:
        return structure(tree, *out.mutable_struct_value(), path);
    }
  }

  void values(const Tree& tree, google::protobuf::ListValue& out, const std::string& path) {
    if (tree.type != Tree::Type::kList) return wrong_type(tree, path, "a list");
    for (size_t i = 0; i < tree.items.size(); ++i)
      value(tree.items[i], *out.add_values(), fmt::format("{}[{}]", path, i));
  }

  void structure(const Tree& tree, google::protobuf::Struct& out, const std::string& path) {
    if (tree.type != Tree::Type::kMap) return wrong_type(tree, path, "a map");
    for (const Tree::Member& member : tree.members)
      value(member.value, (*out.mutable_fields())[member.key], field_path(path, member.key));
  }

  void any(const Tree& tree, google::protobuf::Any& out, const std::string& path) {
    const Tree* name = tree.find("kind");
    const Kind* kind = name == nullptr ? nullptr : find_kind(name->text);
    if (kind == nullptr || kind->name != name->text)
      return problems_.add(tree, field_path(path, "kind"),
                           name == nullptr ? "is missing: name the kind of resource"
                                           : fmt::format("\"{}\" is no kind", name->text));
    const std::unique_ptr<Message> resource = kind->make();
    message(tree, *resource, path);
    out.PackFrom(*resource);
  }

  TreeProblems& problems_;
  FieldLines* lines_;
};

}  // namespace

void read_message(const Tree& tree, Message& message, TreeProblems& problems, FieldLines* lines) {
  Reader(problems, lines).message(tree, message, {});
}

}  // namespace frameworks
