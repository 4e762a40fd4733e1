#include "model/json.h"

#include <fmt/format.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <boost/json/stream_parser.hpp>
#include <cmath>

#include "base/text.h"
#include "frameworks/v1/options.pb.h"
#include "model/pack.h"
#include "model/tree.h"
#include "model/words.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

// Whole numbers without ".0": the values of variables are mostly ports and counts.
json::value number(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (!std::isfinite(value)) return nullptr;
  if (std::abs(value) <= kExact && value == std::floor(value)) return static_cast<int64_t>(value);
  return value;
}

class Writer {
 public:
  explicit Writer(Secrets secrets) : secrets_(secrets) {}

  json::value message(const Message& message) {
    const Descriptor& type = *message.GetDescriptor();
    if (type.file()->package() == "google.protobuf") {
      json::value out;
      if (well_known(message, out)) return out;
    }
    json::object out;
    if (!type.options().GetExtension(pb::kind).plural().empty()) {
      out["apiVersion"] = json::string_view(kApiVersion.data(), kApiVersion.size());
      out["kind"] = type.name();
    }
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields)
      out[field->json_name()] = this->field(message, *field);
    return out;
  }

  json::value field(const Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    if (field.is_map()) return map(message, field);
    if (!field.is_repeated()) return single(message, field);
    json::array out;
    const int size = reflection.FieldSize(message, &field);
    out.reserve(static_cast<size_t>(size));
    for (int i = 0; i < size; ++i) out.push_back(entry(message, field, i));
    return out;
  }

  // Whether a secret was left out.
  [[nodiscard]] bool masked() const { return masked_; }

 private:
  json::value map(const Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    const FieldDescriptor& key = *field.message_type()->map_key();
    const FieldDescriptor& value = *field.message_type()->map_value();
    std::vector<std::pair<std::string, json::value>> members;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      const json::value name = single(entry, key);
      members.emplace_back(name.is_string() ? std::string(name.get_string()) : json_text(name),
                           is_masked(field) ? mask() : single(entry, value));
    }
    std::sort(members.begin(), members.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    json::object out;
    for (auto& [name, item] : members) out[name] = std::move(item);
    return out;
  }

  bool is_masked(const FieldDescriptor& field) const {
    return secrets_ == Secrets::kMask && field.options().GetExtension(pb::rules).secret();
  }
  json::value mask() {
    masked_ = true;
    return json::string(kSecretMask.data(), kSecretMask.size());
  }

  static json::value text(const FieldDescriptor& field, const std::string& value) {
    return json::string(field.type() == FieldDescriptor::TYPE_BYTES ? base64_encode(value) : value);
  }

  static json::value enumeration(const FieldDescriptor& field, int number) {
    const auto* value = field.enum_type()->FindValueByNumber(number);
    if (value == nullptr) return number;
    return json::string(enum_word(*value));
  }

  json::value single(const Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    if (is_masked(field)) return mask();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.GetBool(message, &field);
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.GetInt32(message, &field);
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.GetInt64(message, &field);
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection.GetUInt32(message, &field);
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection.GetUInt64(message, &field);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return number(reflection.GetDouble(message, &field));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return number(static_cast<double>(reflection.GetFloat(message, &field)));
      case FieldDescriptor::CPPTYPE_ENUM:
        return enumeration(field, reflection.GetEnumValue(message, &field));
      case FieldDescriptor::CPPTYPE_STRING:
        return text(field, reflection.GetString(message, &field));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return this->message(reflection.GetMessage(message, &field));
    }
    return nullptr;
  }

  json::value entry(const Message& message, const FieldDescriptor& field, int i) {
    const Reflection& reflection = *message.GetReflection();
    if (is_masked(field)) return mask();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.GetRepeatedBool(message, &field, i);
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.GetRepeatedInt32(message, &field, i);
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.GetRepeatedInt64(message, &field, i);
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection.GetRepeatedUInt32(message, &field, i);
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection.GetRepeatedUInt64(message, &field, i);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return number(reflection.GetRepeatedDouble(message, &field, i));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return number(static_cast<double>(reflection.GetRepeatedFloat(message, &field, i)));
      case FieldDescriptor::CPPTYPE_ENUM:
        return enumeration(field, reflection.GetRepeatedEnumValue(message, &field, i));
      case FieldDescriptor::CPPTYPE_STRING:
        return text(field, reflection.GetRepeatedString(message, &field, i));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return this->message(reflection.GetRepeatedMessage(message, &field, i));
    }
    return nullptr;
  }

  bool well_known(const Message& message, json::value& out) {
    namespace gp = google::protobuf;
    const Descriptor* type = message.GetDescriptor();
    if (type == gp::Duration::descriptor())
      out = json::string(duration(static_cast<const gp::Duration&>(message)));
    else if (type == gp::Timestamp::descriptor())
      out = json::string(gp::util::TimeUtil::ToString(static_cast<const gp::Timestamp&>(message)));
    else if (type == gp::Value::descriptor())
      out = value(static_cast<const gp::Value&>(message));
    else if (type == gp::Struct::descriptor())
      out = structure(static_cast<const gp::Struct&>(message));
    else if (type == gp::ListValue::descriptor())
      out = values(static_cast<const gp::ListValue&>(message));
    else if (type == gp::Any::descriptor())
      out = any(static_cast<const gp::Any&>(message));
    else
      return false;
    return true;
  }

  static std::string duration(const google::protobuf::Duration& value) {
    constexpr int64_t kMaxSeconds = 9'000'000'000;  // of a 64-bit count of nanoseconds
    if (std::abs(value.seconds()) > kMaxSeconds) return fmt::format("{}s", value.seconds());
    return format_duration(std::chrono::seconds(value.seconds()) +
                           std::chrono::nanoseconds(value.nanos()));
  }

  json::value value(const google::protobuf::Value& value) {
    using google::protobuf::Value;
    switch (value.kind_case()) {
      case Value::kBoolValue:
        return value.bool_value();
      case Value::kNumberValue:
        return number(value.number_value());
      case Value::kStringValue:
        return json::string(value.string_value());
      case Value::kStructValue:
        return structure(value.struct_value());
      case Value::kListValue:
        return values(value.list_value());
      default:
        return nullptr;
    }
  }

  json::value structure(const google::protobuf::Struct& value) {
    std::vector<const std::string*> names;
    for (const auto& [name, item] : value.fields()) names.push_back(&name);
    std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
    json::object out;
    for (const std::string* name : names) out[*name] = this->value(value.fields().at(*name));
    return out;
  }

  json::value values(const google::protobuf::ListValue& value) {
    json::array out;
    for (const auto& item : value.values()) out.push_back(this->value(item));
    return out;
  }

  json::value any(const google::protobuf::Any& any) {
    if (const Result<Resource> resource = unpack(any)) return message(resource->message());
    return json::object{{"@type", any.type_url()}};
  }

  Secrets secrets_;
  bool masked_ = false;
};

}  // namespace

json::value to_json(const Message& message, Secrets secrets) {
  return Writer(secrets).message(message);
}

FieldJson field_json(const Message& message, const FieldDescriptor& field, Secrets secrets) {
  const auto& reflection = *message.GetReflection();
  const bool set = field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                                       : reflection.HasField(message, &field);
  if (!set) return {};
  Writer writer(secrets);
  json::value value = writer.field(message, field);
  return {std::move(value), writer.masked()};
}

Status from_json(const json::value& value, Message& message) {
  TreeProblems problems;
  read_message(tree_from_json(value), message, problems);
  if (problems.violations.empty()) return {};
  return Error::invalid(std::move(problems.violations));
}

Result<json::value> parse_json(std::string_view text) {
  json::error_code error;
  json::stream_parser parser;
  const size_t read = parser.write_some(text.data(), text.size(), error);
  if (!error && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos)
    error = json::error::extra_data;
  if (!error) parser.finish(error);
  if (!error) return parser.release();
  const std::string_view before = text.substr(0, read);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t last = before.rfind('\n');
  const size_t column = last == std::string_view::npos ? read + 1 : read - last;
  return Error(Code::kInvalidArgument,
               fmt::format("not JSON: {} (line {}, column {})", error.message(), line, column));
}

}  // namespace frameworks
