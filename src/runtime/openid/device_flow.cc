#include "runtime/openid/device_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/web_url.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr const char* kForm = "application/x-www-form-urlencoded";
constexpr const char* kGrant = "urn:ietf:params:oauth:grant-type:device_code";
constexpr int64_t kMaxExpires = 3600;
constexpr int64_t kMaxInterval = 60;
constexpr seconds kSlower{5};  // RFC 8628, section 3.5

Error bad(std::string message) { return {Code::kFailedPrecondition, std::move(message)}; }

bool is_shown(std::string_view text, size_t limit) {
  return !text.empty() && text.size() <= limit &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

// A whole number between 1 and `most`; `otherwise` when it is absent.
Result<seconds> seconds_member(const json::object& object, std::string_view name, int64_t most,
                               int64_t otherwise) {
  const auto* value = object.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr) return seconds(otherwise);
  json::error_code error;
  const auto number = value->to_number<int64_t>(error);
  if (error || number < 0) return bad(fmt::format("the issuer answers with a bad {}", name));
  return seconds(std::clamp<int64_t>(number, 1, most));
}

// The `error` of an answer (RFC 6749, section 5.2), as it may be shown.
std::string error_of(const json::object& answer) {
  const std::string_view code = string_member(answer, "error");
  const std::string_view text = string_member(answer, "error_description");
  if (!is_shown(code, 100)) return "an error without a name";
  return is_shown(text, 300) ? fmt::format("{}: {}", code, text) : std::string(code);
}

struct FormAnswer {
  bool ok = false;
  json::object object;
};

Result<FormAnswer> ask_form(WebClient& web, const std::string& url,
                            const std::vector<std::pair<std::string, std::string>>& fields,
                            const std::stop_token& stop) {
  ASSIGN_OR_RETURN(const WebAnswer answer, web.ask({.url = url,
                                                    .content_type = kForm,
                                                    .content = form_encode(fields),
                                                    .headers = {"Accept: application/json"},
                                                    .stop = stop}));
  if (answer.status >= 500)
    return Error(Code::kUnavailable, fmt::format("{} answers with {}", url, answer.status));
  auto object = parse_strict_object(answer.body);
  if (!object)
    return bad(fmt::format("{} answers with {}, and what {}", url, answer.status,
                           object.error().message()));
  return FormAnswer{answer.status == 200, std::move(*object)};
}

}  // namespace

Result<DeviceCode> parse_device_code(std::string_view text) {
  const auto object = parse_strict_object(text);
  if (!object) return bad("the issuer's device code " + object.error().message());
  DeviceCode out;
  out.code = string_member(*object, "device_code");
  out.user_code = string_member(*object, "user_code");
  out.uri = string_member(*object, "verification_uri");
  out.complete_uri = string_member(*object, "verification_uri_complete");
  if (out.code.empty() || !is_shown(out.user_code, 100))
    return bad("the issuer answers without a device code that a person could enter");
  const auto checked = [](const std::string& uri) -> Status {
    const auto url = parse_web_url(uri);
    return url ? Status()
               : bad("the issuer names a page for the person that " + url.error().message());
  };
  RETURN_IF_ERROR(checked(out.uri));
  if (!out.complete_uri.empty()) RETURN_IF_ERROR(checked(out.complete_uri));
  ASSIGN_OR_RETURN(out.expires, seconds_member(*object, "expires_in", kMaxExpires, 300));
  ASSIGN_OR_RETURN(out.interval, seconds_member(*object, "interval", kMaxInterval, 5));
  return out;
}

Result<DeviceCode> begin_device_flow(WebClient& web, const IssuerMetadata& issuer,
                                     const OpenIdClient& client, std::stop_token stop) {
  if (issuer.device_authorization_endpoint.empty() || issuer.token_endpoint.empty())
    return bad(
        fmt::format("{} does not offer the device flow: get an ID token elsewhere, and give "
                    "--id-token-file",
                    issuer.issuer));
  std::string scope;
  for (const std::string& each : client.scopes) scope += (scope.empty() ? "" : " ") + each;
  ASSIGN_OR_RETURN(const FormAnswer answer,
                   ask_form(web, issuer.device_authorization_endpoint,
                            {{"client_id", client.id}, {"scope", scope}}, stop));
  if (!answer.ok) return bad(fmt::format("{} refuses: {}", issuer.issuer, error_of(answer.object)));
  return parse_device_code(json::serialize(answer.object));
}

Result<std::string> await_id_token(WebClient& web, Clock& clock, const IssuerMetadata& issuer,
                                   const OpenIdClient& client, const DeviceCode& code,
                                   std::stop_token stop) {
  const MonoTime end = clock.mono() + code.expires;
  seconds pause = code.interval;
  while (true) {
    if (!clock.sleep_for(pause, stop)) return Error(Code::kCancelled, "interrupted");
    if (clock.mono() >= end)
      return Error(Code::kDeadlineExceeded, "the code has expired: log in again");
    const auto answer = ask_form(
        web, issuer.token_endpoint,
        {{"grant_type", kGrant}, {"device_code", code.code}, {"client_id", client.id}}, stop);
    if (!answer) {
      if (!is_retryable(answer.error().code())) return answer.error();
      // RFC 8628, section 3.5: an issuer that is slow or away is asked less often.
      pause = std::min(pause * 2, seconds(kMaxInterval));
      continue;
    }
    if (answer->ok) {
      const std::string_view token = string_member(answer->object, "id_token");
      if (token.empty())
        return bad("the issuer answers without an ID token: the provider's scopes need \"openid\"");
      return std::string(token);
    }
    const std::string_view problem = string_member(answer->object, "error");
    if (problem == "authorization_pending") continue;
    if (problem == "slow_down") {
      pause += kSlower;
    } else if (problem == "access_denied") {
      return Error(Code::kPermissionDenied, "the log-in was refused at the issuer");
    } else if (problem == "expired_token") {
      return Error(Code::kDeadlineExceeded, "the code has expired: log in again");
    } else {
      return bad(fmt::format("{} refuses: {}", issuer.issuer, error_of(answer->object)));
    }
  }
}

}  // namespace frameworks
