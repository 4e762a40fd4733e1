#include "runtime/openid/jws.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>

#include "base/text.h"

namespace frameworks {
namespace {

namespace json = boost::json;

constexpr size_t kMaxDepth = 16;
constexpr size_t kMaxKeyId = 512;

Error bad(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

// Counts members as they stand in the text: more than the value has are repeated names, of which
// different readers would take different ones.
struct MemberCount {
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;
  size_t members = 0;

  using E = json::error_code;
  bool on_document_begin(E&) { return true; }
  bool on_document_end(E&) { return true; }
  bool on_object_begin(E&) { return true; }
  bool on_object_end(size_t, E&) { return true; }
  bool on_array_begin(E&) { return true; }
  bool on_array_end(size_t, E&) { return true; }
  bool on_key_part(json::string_view, size_t, E&) { return true; }
  bool on_key(json::string_view, size_t, E&) {
    ++members;
    return true;
  }
  bool on_string_part(json::string_view, size_t, E&) { return true; }
  bool on_string(json::string_view, size_t, E&) { return true; }
  bool on_number_part(json::string_view, E&) { return true; }
  bool on_int64(int64_t, json::string_view, E&) { return true; }
  bool on_uint64(uint64_t, json::string_view, E&) { return true; }
  bool on_double(double, json::string_view, E&) { return true; }
  bool on_bool(bool, E&) { return true; }
  bool on_null(E&) { return true; }
  bool on_comment_part(json::string_view, E&) { return true; }
  bool on_comment(json::string_view, E&) { return true; }
};

size_t members_of(const json::value& value) {
  size_t out = 0;
  if (value.is_object()) {
    out += value.get_object().size();
    for (const auto& member : value.get_object()) out += members_of(member.value());
  } else if (value.is_array()) {
    for (const auto& item : value.get_array()) out += members_of(item);
  }
  return out;
}

json::parse_options bounded() {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  return options;
}

Result<JwsAlgorithm> algorithm_of(std::string_view name) {
  if (name == "RS256") return JwsAlgorithm::kRs256;
  if (name == "ES256") return JwsAlgorithm::kEs256;
  if (name == "EdDSA") return JwsAlgorithm::kEdDsa;
  return bad("is not signed by RS256, ES256 or EdDSA");
}

Status read_header(const json::object& header, Jws& out) {
  // What must be understood (RFC 7515, section 4.1.11): no extension is.
  if (header.contains("crit")) return bad("has a header that asks for an extension (crit)");
  const auto* type = header.if_contains("typ");
  // Other kinds of tokens of the same issuer say so here ("at+jwt", "logout+jwt").
  if (type != nullptr && (!type->is_string() || to_lower(string_member(header, "typ")) != "jwt"))
    return bad("is a token of another type (typ)");
  ASSIGN_OR_RETURN(out.algorithm, algorithm_of(string_member(header, "alg")));
  if (const auto* key = header.if_contains("kid"); key != nullptr) {
    if (!key->is_string() || key->get_string().empty() || key->get_string().size() > kMaxKeyId)
      return bad("has a key id that is none (kid)");
    out.key_id = string_member(header, "kid");
  }
  return {};
}

}  // namespace

std::string_view string_member(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

Result<std::string> base64url_decode(std::string_view text) {
  static constexpr std::array<int8_t, 256> kValues = [] {
    std::array<int8_t, 256> out{};
    for (auto& value : out) value = -1;
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < digits.size(); ++i)
      out[static_cast<unsigned char>(digits[i])] = static_cast<int8_t>(i);
    return out;
  }();
  if (text.size() % 4 == 1) return bad("base64url text of a length that is none");
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  unsigned buffer = 0;
  int bits = 0;
  for (const char c : text) {
    const int value = kValues[static_cast<unsigned char>(c)];
    if (value < 0) return bad("not base64url text");
    buffer = (buffer << 6 | static_cast<unsigned>(value)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(buffer >> bits & 0xff);
  }
  if ((buffer & ((1U << bits) - 1)) != 0) return bad("base64url text with bits left over");
  return out;
}

Result<json::object> parse_strict_object(std::string_view text) {
  json::error_code error;
  json::value value =
      json::parse(json::string_view(text.data(), text.size()), error, {}, bounded());
  if (error) return bad("is not JSON");
  if (!value.is_object()) return bad("is not a JSON object");
  json::basic_parser<MemberCount> counter(bounded());
  counter.write_some(false, text.data(), text.size(), error);
  if (error || counter.handler().members != members_of(value)) return bad("names a member twice");
  return std::move(value.get_object());
}

Result<Jws> parse_jws(std::string_view text) {
  if (text.size() > kMaxJwsSize)
    return bad(fmt::format("has {} characters (at most {})", text.size(), kMaxJwsSize));
  const size_t first = text.find('.');
  const size_t last = text.rfind('.');
  if (first == std::string_view::npos || first == last || text.find('.', first + 1) != last)
    return bad("is not a signed token (three parts, separated by dots)");
  Jws out;
  const auto read = [](std::string_view part, const char* what) -> Result<json::object> {
    const auto bytes = base64url_decode(part);
    if (!bytes) return bad(fmt::format("has a {} that is not base64url", what));
    auto object = parse_strict_object(*bytes);
    if (!object) return bad(fmt::format("has a {} that {}", what, object.error().message()));
    return object;
  };
  ASSIGN_OR_RETURN(const json::object header, read(text.substr(0, first), "header"));
  RETURN_IF_ERROR(read_header(header, out));
  ASSIGN_OR_RETURN(out.payload, read(text.substr(first + 1, last - first - 1), "payload"));
  auto signature = base64url_decode(text.substr(last + 1));
  if (!signature || signature->empty()) return bad("has a signature that is not base64url");
  out.signature = std::move(*signature);
  out.signed_text = text.substr(0, last);
  return out;
}

}  // namespace frameworks
