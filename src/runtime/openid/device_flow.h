// Log-in on a device without a browser: OAuth 2.0 Device Authorization Grant (RFC 8628), to the ID
// token (OpenID Connect).
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/web_client.h"
#include "runtime/openid/issuer.h"

namespace frameworks {

struct OpenIdClient {
  std::string id;
  std::vector<std::string> scopes;
};

struct DeviceCode {
  std::string code;       // ours alone
  std::string user_code;  // what the person enters at `uri`
  std::string uri;
  std::string complete_uri;  // with the code in it; may be empty
  std::chrono::seconds expires{0};
  std::chrono::seconds interval{5};
};

// Pure. What the person is shown is printable ASCII. kFailedPrecondition.
Result<DeviceCode> parse_device_code(std::string_view text);

// kFailedPrecondition: the issuer has no such flow, refuses the client, or answers nonsense. Errors
// as WebClient's.
Result<DeviceCode> begin_device_flow(WebClient& web, const IssuerMetadata& issuer,
                                     const OpenIdClient& client, std::stop_token stop);

// Asks until the person has decided, as often as the issuer allows. The ID token, which nobody has
// verified yet. kPermissionDenied: the person said no. kDeadlineExceeded: the code has expired.
// kCancelled.
Result<std::string> await_id_token(WebClient& web, Clock& clock, const IssuerMetadata& issuer,
                                   const OpenIdClient& client, const DeviceCode& code,
                                   std::stop_token stop);

}  // namespace frameworks
