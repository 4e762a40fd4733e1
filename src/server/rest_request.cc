#include "server/rest_request.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "base/text.h"
#include "model/json.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using google::protobuf::FieldDescriptor;

const FieldDescriptor* find_field(const google::protobuf::Descriptor* descriptor,
                                  const std::string& name) {
  const auto* field = descriptor->FindFieldByName(name);
  return field != nullptr ? field : descriptor->FindFieldByCamelcaseName(name);
}

// Protobuf's text is UTF-8, and JSON's parser has checked bodies already.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || i + size > text.size()) return false;
    uint32_t point = size == 1 ? lead : lead & (0xffU >> (size + 1));
    for (size_t j = 1; j < size; ++j) {
      const auto next = static_cast<unsigned char>(text[i + j]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3fU);
    }
    if ((size == 3 && point < 0x800) || (size == 4 && point < 0x10000) || point > 0x10ffff ||
        (point >= 0xd800 && point < 0xe000))
      return false;
    i += size;
  }
  return true;
}

// Text of a query or path as the JSON that the field's type wants; text that does not fit is left
// as it is, for from_json() to refuse by name.
json::value json_value(const FieldDescriptor& field, const std::string& text) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64: {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) return number;
      return json::value(text);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text == "true" || text == "1" || text.empty()) return true;
      if (text == "false" || text == "0") return false;
      return json::value(text);
    default:
      return json::value(text);
  }
}

// Collects the request as JSON, and what is wrong with it.
class Parameters {
 public:
  Parameters(const Message& request, json::object& fields) : request_(request), fields_(fields) {}

  // "a" is a field of the request, "a.b" a field of that field.
  void put(const std::string& name, const std::string& text, const char* from) {
    const google::protobuf::Descriptor* descriptor = request_.GetDescriptor();
    json::object* fields = &fields_;
    const FieldDescriptor* field = nullptr;
    for (const std::string& part : split(name, '.')) {
      if (field != nullptr) {
        const bool nested = field->message_type() != nullptr && !field->is_repeated();
        if (!nested) return fail(name, "unknown parameter");
        descriptor = field->message_type();
        json::value& within = (*fields)[field->json_name()];
        if (within.is_null()) within = json::object();
        if (!within.is_object()) return fail(name, "is given both as a whole and in parts");
        fields = &within.as_object();
      }
      field = find_field(descriptor, part);
      if (field == nullptr) return fail(name, "unknown parameter");
    }
    put_text(*fields, *field, name, text, from);
  }

  void put_text(json::object& fields, const FieldDescriptor& descriptor, const std::string& name,
                const std::string& text, const char* from) {
    const FieldDescriptor* field = &descriptor;
    if (!is_utf8(text)) return fail(name, "is not UTF-8");
    const std::string key = field->json_name();
    if (field->is_map()) return fail(name, "is a map: give it in the body");
    const bool given = fields.contains(key);
    if (!field->is_repeated()) {
      if (given) return fail(name, fmt::format("is given twice, once in the {}", from));
      fields[key] = json_value(*field, text);
      return;
    }
    if (!given) fields[key] = json::array();
    if (!fields[key].is_array()) return fail(name, "is given both in the query and in the body");
    fields[key].as_array().push_back(json_value(*field, text));
  }

  void put_query(std::string_view query) {
    for (const std::string& pair : split(query, '&')) {
      if (pair.empty()) continue;
      const size_t equals = pair.find('=');
      const std::string_view text = pair;
      const auto name = percent_decode(text.substr(0, equals), Plus::kSpace);
      const auto value = percent_decode(
          equals == std::string::npos ? std::string_view() : text.substr(equals + 1), Plus::kSpace);
      if (!name || !is_utf8(*name))
        fail("", "a parameter's name is broken");
      else if (!value)
        fail(*name, value.error().message());
      else
        put(*name, *value, "query");
    }
  }

  void put_path(const RestRoutes::Match& match) {
    for (size_t i = 0; i < match.route->variables.size(); ++i) {
      const FieldDescriptor* field = match.route->variables[i];
      if (field == nullptr) continue;
      const auto value = percent_decode(match.segments[i], Plus::kLiteral);
      if (!value)
        fail(field->json_name(), value.error().message());
      else
        put(field->name(), *value, "path");
    }
  }

  [[nodiscard]] Status status() {
    if (violations_.empty()) return {};
    return Error::invalid(std::move(violations_));
  }

 private:
  void fail(const std::string& name, std::string message) {
    violations_.push_back({{}, 0, "", is_utf8(name) ? name : "", std::move(message)});
  }

  const Message& request_;
  json::object& fields_;
  std::vector<Violation> violations_;
};

// The common case, without a body or a query: every variable is a text.
bool fill_from_path(const RestRoutes::Match& match, Message& request) {
  for (size_t i = 0; i < match.route->variables.size(); ++i) {
    const FieldDescriptor* field = match.route->variables[i];
    if (field == nullptr) continue;
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return false;  // a word
    const std::string_view text = match.segments[i];
    // What needs decoding or judging goes the long way.
    for (const char c : text)
      if (c == '%' || static_cast<unsigned char>(c) >= 0x80) return false;
    request.GetReflection()->SetString(&request, field, std::string(text));
  }
  return true;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "\"17\"", "W/\"17\"" → 17; -1 for what is no tag of ours.
int64_t tag_of(std::string_view text) {
  if (text.starts_with("W/")) text.remove_prefix(2);
  if (text.size() < 3 || text.front() != '"' || text.back() != '"') return -1;
  text = text.substr(1, text.size() - 2);
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? value : -1;
}

}  // namespace

Status fill_request(const RestRoutes::Match& match, std::string_view query, std::string_view body,
                    Message& request) {
  if (body.empty() && query.empty()) {
    if (fill_from_path(match, request)) return {};
    request.Clear();
  }
  json::object fields;
  if (!trim(body).empty()) {
    ASSIGN_OR_RETURN(json::value parsed, parse_json(body));
    if (!parsed.is_object()) return Error(Code::kInvalidArgument, "the body must be a JSON object");
    fields = std::move(parsed.as_object());
  }
  Parameters parameters(request, fields);
  parameters.put_query(query);
  parameters.put_path(match);
  RETURN_IF_ERROR(parameters.status());
  return from_json(fields, request);
}

Conditions read_conditions(const HttpHead& head) {
  Conditions out;
  if (const auto text = head.find("if-none-match"); !text.empty()) out.if_none_match = tag_of(text);
  if (const auto text = head.find("if-match"); !text.empty()) {
    out.any_match = text == "*";
    if (!out.any_match) out.if_match = tag_of(text);
  }
  return out;
}

Status apply_conditions(const HttpHead& head, const Conditions& conditions, const RestRoute& route,
                        Message& request) {
  const auto& reflection = *request.GetReflection();
  if (route.if_none_match != nullptr && conditions.if_none_match > 0)
    reflection.SetInt64(&request, route.if_none_match, conditions.if_none_match);
  if (conditions.if_match != 0) {
    if (route.if_revision == nullptr)
      return Error(Code::kInvalidArgument, "If-Match: this method knows no revision to compare");
    // A tag that is none of ours matches no revision.
    reflection.SetInt64(&request, route.if_revision,
                        conditions.if_match > 0 ? conditions.if_match : INT64_MAX);
  }
  const std::string_view last = head.find("last-event-id");
  if (route.resume != nullptr && !last.empty()) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), value);
    if (error != std::errc() || end != last.data() + last.size() || value < 0)
      return Error(Code::kInvalidArgument, "Last-Event-ID: not an id of this stream");
    reflection.SetInt64(&request, route.resume, value);
  }
  return {};
}

bool accepts(std::string_view accept, std::string_view type) {
  if (accept.empty()) return true;
  const std::string_view family = type.substr(0, type.find('/'));
  while (!accept.empty()) {
    const size_t comma = accept.find(',');
    std::string_view range = accept.substr(0, comma);
    accept = comma == std::string_view::npos ? std::string_view() : accept.substr(comma + 1);
    const size_t parameters = range.find(';');
    const std::string_view weight = parameters == std::string_view::npos
                                        ? std::string_view()
                                        : trim(range.substr(parameters + 1));
    if (weight == "q=0" || weight == "q=0.0" || weight == "q=0.00" || weight == "q=0.000") continue;
    range = trim(range.substr(0, parameters));
    if (range == "*/*" || same_token(range, type)) return true;
    if (range.ends_with("/*") && same_token(range.substr(0, range.size() - 2), family)) return true;
  }
  return false;
}

bool is_json_type(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (type.empty() || same_token(type, "application/json")) return true;
  constexpr size_t kSuffix = 5;
  return type.size() > kSuffix && same_token(type.substr(type.size() - kSuffix), "+json");
}

Result<std::string> percent_decode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kSpace) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return Error(Code::kInvalidArgument, "has a broken percent-encoding");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

}  // namespace frameworks
