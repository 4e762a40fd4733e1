// What an ID token says, and whether it says it to us: OpenID Connect Core 1.0, section 3.1.3.7,
// except for the signature (jwk.h). Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace frameworks {

struct IdTokenRules {
  std::string issuer;     // `iss`, exactly
  std::string client_id;  // in `aud`; `azp` where there is one, or several in `aud`
  std::string nonce;      // `nonce`, exactly; empty: the token must have none
  WallTime now{};
};

// How far clocks may differ.
inline constexpr std::chrono::seconds kClockSkew{60};
// How long after `iat` a token buys a log-in, however long it is good for elsewhere.
inline constexpr std::chrono::seconds kIdTokenAge{600};

// The subject. kUnauthenticated, as a clause that follows "the ID token".
Result<std::string> check_id_token(const boost::json::object& claims, const IdTokenRules& rules);

}  // namespace frameworks
