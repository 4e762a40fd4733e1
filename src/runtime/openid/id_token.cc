#include "runtime/openid/id_token.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <cmath>
#include <optional>

#include "runtime/openid/jws.h"

namespace frameworks {
namespace {

namespace json = boost::json;

constexpr size_t kMaxSubject = 255;  // Core 1.0, section 2
constexpr size_t kMaxAudiences = 64;

Error bad(std::string message) { return {Code::kUnauthenticated, std::move(message)}; }

// NumericDate (RFC 7519, section 2), in seconds; empty when it is absent, no number, or absurd.
std::optional<double> date(const json::object& claims, json::string_view name) {
  const auto* value = claims.if_contains(name);
  if (value == nullptr || !value->is_number()) return {};
  const double seconds = value->to_number<double>();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e11) return {};
  return seconds;
}

Status check_audience(const json::object& claims, const std::string& client) {
  const auto* audience = claims.if_contains("aud");
  size_t audiences = 0;
  bool ours = false;
  if (audience != nullptr && audience->is_string()) {
    audiences = 1;
    ours = string_member(claims, "aud") == client;
  } else if (audience != nullptr && audience->is_array()) {
    for (const json::value& each : audience->get_array()) {
      if (!each.is_string()) return bad("has an audience that is no text (aud)");
      ours |= std::string_view(each.get_string().data(), each.get_string().size()) == client;
      ++audiences;
    }
  }
  if (!ours || audiences > kMaxAudiences) return bad("was issued to another client (aud)");
  if (!claims.contains("azp"))
    return audiences == 1 ? Status() : bad("has several audiences, and no authorized party (azp)");
  return string_member(claims, "azp") == client
             ? Status()
             : bad("was issued to another authorized party (azp)");
}

Status check_times(const json::object& claims, WallTime now) {
  const double at = std::chrono::duration<double>(now.time_since_epoch()).count();
  const auto skew = static_cast<double>(kClockSkew.count());
  const auto expires = date(claims, "exp");
  const auto issued = date(claims, "iat");
  if (!expires) return bad("does not say when it expires (exp)");
  if (!issued) return bad("does not say when it was issued (iat)");
  if (at >= *expires + skew) return bad("has expired: log in again");
  if (*issued > at + skew) return bad("is of the future (iat): check the clocks");
  if (at >= *issued + static_cast<double>(kIdTokenAge.count()) + skew)
    return bad(
        fmt::format("was issued more than {} minutes ago: log in again", kIdTokenAge.count() / 60));
  if (claims.contains("nbf")) {
    const auto begin = date(claims, "nbf");
    if (!begin || *begin > at + skew) return bad("is not good yet (nbf): check the clocks");
  }
  return {};
}

}  // namespace

Result<std::string> check_id_token(const json::object& claims, const IdTokenRules& rules) {
  if (string_member(claims, "iss") != rules.issuer) return bad("is of another issuer (iss)");
  RETURN_IF_ERROR(check_audience(claims, rules.client_id));
  RETURN_IF_ERROR(check_times(claims, rules.now));
  const auto* nonce = claims.if_contains("nonce");
  if ((nonce != nullptr && !nonce->is_string()) || string_member(claims, "nonce") != rules.nonce)
    return bad("belongs to another log-in (nonce)");
  const std::string_view subject = string_member(claims, "sub");
  const bool printable =
      std::all_of(subject.begin(), subject.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (subject.empty() || subject.size() > kMaxSubject || !printable)
    return bad("names nobody (sub)");
  return std::string(subject);
}

}  // namespace frameworks
