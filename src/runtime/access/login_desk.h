// Log-in of people by OpenID Connect: an ID token of a provider's issuer buys an access token of
// the account that has its issuer and subject.
//
// An ID token buys one access token only, by whichever server: the access token's name is made from
// it, and there is one of a name. It does so for ten minutes after it was issued (id_token.h), and
// log-ins' access tokens last longer than that.
#pragma once

#include <atomic>
#include <memory>

#include "base/clock.h"
#include "frameworks/v1/access_api.pb.h"
#include "runtime/access/rate_limit.h"
#include "runtime/openid/issuer.h"
#include "store/store.h"

namespace frameworks {

// Pure: where people may log in.
void fill_providers(const Snapshot& snapshot, pb::ListProvidersResponse& response);

class LoginDesk {
 public:
  struct Options {
    // Log-ins that an address may try at once; ten a second afterwards.
    int64_t at_once = 100;
  };
  // All must outlive the desk.
  LoginDesk(Store& store, Clock& clock, WebClient& web, Options options);

  // `source` is where the caller is, e.g. "grpc 10.0.0.7". Waits for the disk, and where keys are
  // not at hand for the issuer. Threadsafe.
  //
  // kNotFound: no such provider. kUnauthenticated: the ID token is not good, or was used, or nobody
  // may log in by it; whether there is an account that may not is not told. kUnavailable: the
  // issuer's keys are not to be had. kResourceExhausted beyond an address's rate.
  Result<pb::CreateTokenResponse> log_in(const pb::LoginRequest& request,
                                         const std::string& source);

  // Ends what waits for issuers.
  void stop() { keys_.stop(); }

  // Since start.
  [[nodiscard]] uint64_t admitted() const { return admitted_; }
  [[nodiscard]] uint64_t refused() const { return refused_; }

 private:
  Result<pb::CreateTokenResponse> trade(const pb::LoginRequest& request, const std::string& source);

  Store& store_;
  Clock& clock_;
  IssuerKeys keys_;
  AddressLimits limits_;
  std::atomic<uint64_t> admitted_{0};
  std::atomic<uint64_t> refused_{0};
};

}  // namespace frameworks
