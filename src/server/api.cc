#include "server/api.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/rules.h"

namespace frameworks {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

std::string_view role_name(pb::Access access) {
  switch (access) {
    case pb::ACCESS_NODE:
      return "node";
    case pb::ACCESS_VIEWER:
      return "viewer";
    case pb::ACCESS_OPERATOR:
      return "operator";
    case pb::ACCESS_ADMIN:
      return "admin";
    default:
      return "nobody";
  }
}

bool is_set(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                             : reflection.HasField(message, &field);
}

// The value of a single number; empty for what is no number.
std::optional<double> number(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (field.is_repeated()) return {};
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(reflection.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.GetFloat(message, &field);
    default:
      return {};
  }
}

std::optional<std::string> problem(const Message& message, const FieldDescriptor& field,
                                   const pb::FieldRules& rules) {
  if (!is_set(message, field)) {
    if (rules.required()) return "is required";
    return {};
  }
  if (rules.min() != 0 || rules.max() != 0) {
    const auto value = number(message, field);
    if (value && (*value < rules.min() || *value > rules.max()))
      return fmt::format("{} is out of range ({} to {})", *value, rules.min(), rules.max());
  }
  if (rules.format() != pb::FORMAT_ANY && !field.is_repeated() &&
      field.cpp_type() == FieldDescriptor::CPPTYPE_STRING)
    return format_problem(rules.format(), message.GetReflection()->GetString(message, &field));
  return {};
}

}  // namespace

Ready ReplyStream::ready(Form) {
  CHECK(false);  // a stream that tells kReady has them
  return nullptr;
}

Method& Api::add_method(std::string_view name, Runs runs, const Message& request,
                        const Message& response) {
  const size_t slash = name.find('/');
  CHECK(slash != std::string_view::npos);
  const auto* service = request.GetDescriptor()->file()->pool()->FindServiceByName(
      std::string(name.substr(0, slash)));
  CHECK(service != nullptr);
  const auto* descriptor = service->FindMethodByName(std::string(name.substr(slash + 1)));
  CHECK(descriptor != nullptr);
  CHECK(descriptor->input_type() == request.GetDescriptor());
  CHECK(descriptor->output_type() == response.GetDescriptor());
  CHECK(find(name) == nullptr);
  auto method = std::make_unique<Method>();
  method->name = name;
  method->descriptor = descriptor;
  method->access = descriptor->options().GetExtension(pb::access);
  method->tenant_scope = descriptor->options().GetExtension(pb::tenant_scope);
  method->writes = descriptor->options().GetExtension(pb::writes);
  method->http = descriptor->options().GetExtension(pb::http);
  method->runs = runs;
  method->request = &request;
  method->response = &response;
  method->rules = std::make_shared<const RequestRules>(*request.GetDescriptor());
  const auto at =
      std::lower_bound(methods_.begin(), methods_.end(), name,
                       [](const auto& other, std::string_view n) { return other->name < n; });
  return **methods_.insert(at, std::move(method));
}

const Method* Api::find(std::string_view name) const {
  const auto at =
      std::lower_bound(methods_.begin(), methods_.end(), name,
                       [](const auto& other, std::string_view n) { return other->name < n; });
  return at == methods_.end() || (*at)->name != name ? nullptr : at->get();
}

Status authorize(const Method& method, const Caller& caller) {
  if (method.access == pb::ACCESS_ANYBODY) return {};
  if (caller.role == pb::ACCESS_ANYBODY || caller.role == pb::ACCESS_NOBODY)
    return Error(Code::kUnauthenticated,
                 "no credentials: send \"authorization: Bearer <token>\" with the token of an "
                 "account, e.g. from admin.token in the server's state folder");
  // People do not speak for nodes, nor nodes for people: the roles of people only are ordered.
  const bool allowed = method.access == pb::ACCESS_NODE ? caller.role == pb::ACCESS_NODE
                       : method.access == pb::ACCESS_NOBODY || caller.role == pb::ACCESS_NODE
                           ? false
                           : caller.role >= method.access;
  const bool in_scope = caller.tenant.empty() || method.tenant_scope != pb::TENANT_SCOPE_NONE;
  if (allowed && in_scope) return {};
  if (!caller.tenant.empty())
    return Error(Code::kPermissionDenied,
                 fmt::format("{} may not call {}", caller.name, method.name));
  return Error(Code::kPermissionDenied,
               fmt::format("{} may not call {}: it has role {}, the method needs {}", caller.name,
                           method.name, role_name(caller.role), role_name(method.access)));
}

Status scope(const Method& method, const Caller& caller, Message& request) {
  if (caller.tenant.empty() || method.tenant_scope != pb::TENANT_SCOPE_FIELD) return {};
  const FieldDescriptor* field = request.GetDescriptor()->FindFieldByName("tenant");
  CHECK(field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING);
  const Reflection& reflection = *request.GetReflection();
  const std::string named = reflection.GetString(request, field);
  if (named.empty()) {
    reflection.SetString(&request, field, caller.tenant);
    return {};
  }
  if (named == caller.tenant) return {};
  return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", named));
}

RequestRules::RequestRules(const google::protobuf::Descriptor& request) {
  for (int i = 0; i < request.field_count(); ++i) {
    const auto& options = request.field(i)->options();
    if (options.HasExtension(pb::rules))
      fields_.push_back({request.field(i), &options.GetExtension(pb::rules)});
  }
}

Status RequestRules::check(const Message& request) const {
  std::vector<Violation> violations;
  for (const auto& [field, rules] : fields_)
    if (auto text = problem(request, *field, *rules))
      violations.push_back({{}, 0, "", field->json_name(), std::move(*text)});
  if (violations.empty()) return {};
  return Error::invalid(std::move(violations));
}

}  // namespace frameworks
