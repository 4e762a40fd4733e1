// An issuer of identities: what it says of itself (OpenID Connect Discovery 1.0), and its keys.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/web_client.h"
#include "runtime/openid/jwk.h"

namespace frameworks {

struct IssuerMetadata {
  std::string issuer;
  std::string jwks_uri;
  // Empty where the issuer has none.
  std::string token_endpoint;
  std::string device_authorization_endpoint;  // RFC 8628, section 4
};

// Pure. The document must be of `issuer`, exactly, and what it names be as safe to ask as the
// issuer itself: https, unless that is http on this host. kFailedPrecondition.
Result<IssuerMetadata> parse_issuer_metadata(std::string_view text, std::string_view issuer);

// Asks <issuer>/.well-known/openid-configuration. Errors as WebClient's; kFailedPrecondition.
Result<IssuerMetadata> discover_issuer(WebClient& web, const std::string& issuer,
                                       std::stop_token stop = {});

// The keys of issuers, remembered. Threadsafe.
//
// They are asked for when they are older than `fresh`, and when a signature does not verify with
// those at hand, but of an issuer once in `pause` only: a caller cannot make us ask more often.
class IssuerKeys {
 public:
  struct Options {
    Duration fresh = std::chrono::hours(1);
    Duration pause = std::chrono::seconds(10);
    // Callers that wait for issuers at a time; others are told to try again, so that an issuer
    // that hangs does not take all of the server's workers.
    int waiting = 3;
  };
  IssuerKeys(WebClient& web, Clock& clock, Options options);
  IssuerKeys(WebClient& web, Clock& clock) : IssuerKeys(web, clock, Options()) {}
  ~IssuerKeys();

  // May wait for the issuer, at most ten seconds. kUnauthenticated, as a clause that follows "the
  // ID token"; kUnavailable: the issuer's keys are not known.
  Status verify(const std::string& issuer, const Jws& jws);

  // Ends what waits; verify() fails from now on where it would ask.
  void stop();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace frameworks
