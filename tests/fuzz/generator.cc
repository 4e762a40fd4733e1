#include "generator.h"

#include <google/protobuf/any.pb.h>

#include <limits>

#include "model/registry.h"

namespace frameworks {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
namespace json = boost::json;

const std::vector<std::string>& names() {
  static const std::vector<std::string> kNames{
      "acme",   "qqglobex", "shared",        "acme-own", "qqglobex-own", "acme-own-1",
      "viewer", "operator", "chief",         "password", "nothing",      "qqsecret-deal",
      "op-1",   "a",        "x.example.com", "web",      "acme-viewer",  "qqglobex-own-1"};
  return kNames;
}

const std::vector<std::string>& odd_texts() {
  static const std::vector<std::string> kTexts{
      "",
      " ",
      "/",
      "..",
      "../../etc/passwd",
      "a/b",
      "%00",
      std::string("nul\0nul", 7),
      "\x1f",
      "\n",
      "A",
      "ünïcödé-☃-💥",
      "\xe2\x80\xae"
      "rtl",
      "{}",
      "null",
      "(secret)",
      "' OR 1=1 --",
      "$(reboot)",
      "-1",
      "9223372036854775808",
      "1e999",
      "NaN",
      "0.0.0.0/0",
      "::/0",
      "10.64.1.0/33",
      "fwt_0123456789ab_AAAA",
      "spec.tier=edge,labels.rack",
      "=,!=",
      "metadata.name",
      "spec.no.such.field",
      std::string(70, 'a'),
      std::string(5000, 'b'),
      std::string(300, '.'),
  };
  return kTexts;
}

}  // namespace

std::string Generator::text(const std::string& field, bool utf8) {
  if (!utf8 && one_in(40)) return "\xff\xfe broken \xc0\x80";
  if (one_in(4)) return one_of(odd_texts());
  if (field == "kind" || field == "kinds") {
    const Kind& kind = all_kinds()[below(all_kinds().size())];
    return one_in(2) ? kind.name : kind.plural;
  }
  if (field == "fields")
    return one_of<std::string>({"metadata.name", "spec", "status", "spec.tier", "metadata.labels"});
  if (field == "filter")
    return one_of<std::string>(
        {"metadata.name=acme", "spec.tier!=edge", "labels.a", "!status.state"});
  if (field == "address") return "192.0.2." + std::to_string(below(256));
  if (field == "mesh") return "10.64." + std::to_string(below(256)) + ".0/24";
  return one_of(names());
}

int64_t Generator::integer() {
  switch (below(6)) {
    case 0:
      return one_of<int64_t>({std::numeric_limits<int64_t>::min(),
                              std::numeric_limits<int64_t>::max(),
                              std::numeric_limits<int32_t>::min(),
                              std::numeric_limits<int32_t>::max(), int64_t{1} << 53, -1, 0});
    case 1:
      return static_cast<int64_t>(random_());
    default:
      return static_cast<int64_t>(below(2000)) - 100;
  }
}

double Generator::real() {
  return one_of<double>({0.0, -0.0, 1.5, -1e308, 1e308, std::numeric_limits<double>::infinity(),
                         -std::numeric_limits<double>::infinity(),
                         std::numeric_limits<double>::quiet_NaN(), 5e-324,
                         static_cast<double>(integer())});
}

void Generator::fill_any(Message& message, int depth) {
  auto& any = static_cast<google::protobuf::Any&>(message);
  if (one_in(10)) {
    any.set_type_url(text("type", true));
    any.set_value(broken("garbage"));
    return;
  }
  const Kind& kind = all_kinds()[below(all_kinds().size())];
  const std::unique_ptr<Message> resource = kind.make();
  fill(*resource, depth);
  if (!one_in(5)) kind.mutable_metadata(*resource).set_name(one_of(names()));
  any.PackFrom(*resource);
  if (one_in(20)) any.set_value(broken(any.value()));
}

void Generator::fill_field(Message& message, const FieldDescriptor& field, int depth) {
  const auto& reflection = *message.GetReflection();
  const bool list = field.is_repeated();
  const auto set = [&](auto setter, auto adder, auto value) {
    if (list)
      (reflection.*adder)(&message, &field, value);
    else
      (reflection.*setter)(&message, &field, value);
  };
  using google::protobuf::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return set(&Reflection::SetBool, &Reflection::AddBool, !one_in(2));
    case FieldDescriptor::CPPTYPE_INT32:
      return set(&Reflection::SetInt32, &Reflection::AddInt32, static_cast<int32_t>(integer()));
    case FieldDescriptor::CPPTYPE_UINT32:
      return set(&Reflection::SetUInt32, &Reflection::AddUInt32, static_cast<uint32_t>(integer()));
    case FieldDescriptor::CPPTYPE_INT64:
      return set(&Reflection::SetInt64, &Reflection::AddInt64, integer());
    case FieldDescriptor::CPPTYPE_UINT64:
      return set(&Reflection::SetUInt64, &Reflection::AddUInt64, static_cast<uint64_t>(integer()));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return set(&Reflection::SetDouble, &Reflection::AddDouble, real());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return set(&Reflection::SetFloat, &Reflection::AddFloat, static_cast<float>(real()));
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int known =
          static_cast<int>(below(static_cast<size_t>(field.enum_type()->value_count())));
      return set(
          &Reflection::SetEnumValue, &Reflection::AddEnumValue,
          one_in(6) ? static_cast<int>(integer()) : field.enum_type()->value(known)->number());
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string value = text(field.name(), false);
      return list ? reflection.AddString(&message, &field, value)
                  : reflection.SetString(&message, &field, value);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return fill(list ? *reflection.AddMessage(&message, &field)
                       : *reflection.MutableMessage(&message, &field),
                  depth + 1);
  }
}

void Generator::fill(Message& message, int depth) {
  if (message.GetDescriptor() == google::protobuf::Any::descriptor())
    return fill_any(message, depth + 1);
  if (depth > 8) return;
  const auto& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.containing_oneof() != nullptr && !one_in(3)) continue;
    if (depth > 0 ? one_in(2) : one_in(5)) continue;
    const size_t times = field.is_repeated() ? below(one_in(50) ? 1500 : 4) : 1;
    for (size_t n = 0; n < times; ++n) fill_field(message, field, depth + (times > 10 ? 4 : 0));
  }
}

std::string Generator::broken(std::string bytes) {
  for (size_t n = 1 + below(5); n > 0; --n) {
    const size_t at = below(bytes.size());
    if (bytes.empty() || one_in(3))
      bytes.insert(at, 1, static_cast<char>(random_()));
    else if (one_in(3))
      bytes.erase(at, 1 + below(9));
    else
      bytes[at] = static_cast<char>(random_());
  }
  return bytes;
}

json::value Generator::any_json(int depth) {
  switch (below(depth > 20 ? 7 : 10)) {
    case 0:
      return nullptr;
    case 1:
      return one_in(2);
    case 2:
      return integer();
    case 3:
      return 1.25e300;
    case 4:
      return json::array();
    case 5:
      return json::object();
    case 6:
      return json::value(text("kind", true));
    case 7:
      return json::array{any_json(depth + 1), any_json(depth + 1)};
    default:
      return json::object{{text("name", true), any_json(depth + 1)}};
  }
}

void Generator::distort(json::value& value, int depth) {
  if (one_in(12)) {
    value = any_json(depth);
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) distort(member.value(), depth + 1);
    if (one_in(15)) (*object)[text("name", true)] = any_json(depth);
  } else if (auto* array = value.if_array()) {
    for (json::value& item : *array) distort(item, depth + 1);
  }
}

}  // namespace frameworks
