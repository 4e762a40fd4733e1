#include "server/rest_routes.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "base/text.h"
#include "model/json.h"
#include "server/grpc_status.h"

namespace frameworks {
namespace {

using google::protobuf::FieldDescriptor;

bool is_variable(std::string_view segment) { return segment.starts_with('{'); }

// "/v1/nodes/a" → {"v1", "nodes", "a"}
std::vector<std::string> segments_of(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return split(path, '/');
}

const FieldDescriptor* find_field(const Message& message, const std::string& name) {
  const auto* descriptor = message.GetDescriptor();
  const auto* field = descriptor->FindFieldByName(name);
  return field != nullptr ? field : descriptor->FindFieldByCamelcaseName(name);
}

// Text of a query or path as the JSON that the field's type wants; text that does not fit is left
// as it is, for from_json() to refuse by name.
boost::json::value json_value(const FieldDescriptor& field, const std::string& text) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64: {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) return number;
      return boost::json::value(text);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text == "true" || text == "1" || text.empty()) return true;
      if (text == "false" || text == "0") return false;
      return boost::json::value(text);
    default:
      return boost::json::value(text);
  }
}

Status put(const Message& request, const std::string& name, const std::string& text,
           boost::json::object& into) {
  const FieldDescriptor* field = find_field(request, name);
  if (field == nullptr) return Error::invalid({{{}, 0, "", name, "unknown parameter"}});
  const std::string key = field->json_name();
  if (!field->is_repeated()) {
    into[key] = json_value(*field, text);
    return {};
  }
  if (!into.contains(key)) into[key] = boost::json::array();
  if (!into[key].is_array())
    return Error::invalid({{{}, 0, "", name, "is given both in the query and in the body"}});
  into[key].as_array().push_back(json_value(*field, text));
  return {};
}

Status put_query(const Message& request, std::string_view query, boost::json::object& into) {
  for (const std::string& pair : split(query, '&')) {
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const std::string_view text = pair;
    ASSIGN_OR_RETURN(const std::string name, percent_decode(text.substr(0, equals), Plus::kSpace));
    ASSIGN_OR_RETURN(
        const std::string value,
        percent_decode(equals == std::string::npos ? std::string_view() : text.substr(equals + 1),
                       Plus::kSpace));
    RETURN_IF_ERROR(put(request, name, value, into));
  }
  return {};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

RestRoutes::RestRoutes(const Api& api) {
  for (const auto& method : api.methods()) {
    if (method->http.path().empty()) continue;
    Route route{segments_of(method->http.path()), method.get()};
    for (const Route& other : routes_)
      CHECK(other.segments != route.segments || other.method->http.verb() != method->http.verb());
    routes_.push_back(std::move(route));
  }
}

Result<RestRoutes::Match> RestRoutes::match(std::string_view verb, std::string_view path) const {
  const std::vector<std::string> segments = segments_of(path);
  bool other_verb = false;
  for (const Route& route : routes_) {
    if (route.segments.size() != segments.size()) continue;
    Match match{route.method, {}};
    bool same = true;
    for (size_t i = 0; same && i < segments.size(); ++i) {
      const std::string& pattern = route.segments[i];
      if (!is_variable(pattern)) {
        same = pattern == segments[i];
        continue;
      }
      ASSIGN_OR_RETURN(match.variables[pattern.substr(1, pattern.size() - 2)],
                       percent_decode(segments[i], Plus::kLiteral));
    }
    if (!same) continue;
    if (route.method->http.verb() == verb) return match;
    other_verb = true;
  }
  if (other_verb)
    return Error(Code::kUnimplemented, fmt::format("{} is not served for {}", verb, path));
  return Error(Code::kNotFound, fmt::format("no such path: {}", path));
}

Status fill_request(const RestRoutes::Match& match, std::string_view query, std::string_view body,
                    Message& request) {
  boost::json::object fields;
  if (!trim(body).empty()) {
    ASSIGN_OR_RETURN(boost::json::value parsed, parse_json(body));
    if (!parsed.is_object()) return Error(Code::kInvalidArgument, "the body must be a JSON object");
    fields = std::move(parsed.as_object());
  }
  RETURN_IF_ERROR(put_query(request, query, fields));
  for (const auto& [name, value] : match.variables)
    RETURN_IF_ERROR(put(request, name, value, fields));
  return from_json(fields, request);
}

int http_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kAborted:
    case Code::kFailedPrecondition:
      return 409;
    case Code::kOutOfRange:
      return 410;  // the revision is gone
    case Code::kResourceExhausted:
      return 429;
    case Code::kCancelled:
      return 499;
    case Code::kUnimplemented:
      return 405;
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss:
      return 500;
  }
  return 500;
}

boost::json::value problem(const Error& error) {
  boost::json::object out{{"type", "about:blank"},
                          {"title", code_name(error.code())},
                          {"status", http_status(error.code())},
                          {"detail", error.message()},
                          {"code", code_name(error.code())}};
  if (!error.violations().empty())
    out["violations"] = to_json(to_proto(error.violations())).as_object()["violations"];
  return out;
}

Result<std::string> percent_decode(std::string_view text, Plus plus) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kSpace) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return Error(Code::kInvalidArgument, fmt::format("\"{}\": broken percent-encoding", text));
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

}  // namespace frameworks
