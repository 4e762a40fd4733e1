// Who a token stands for, asked at every request: from memory, in about the time of one SHA-256,
// and without it by who remembers that it was the same token.
//
// What was verified is remembered together with the revision it holds for. As long as nothing is
// written a request costs one hash and one comparison in constant time; after a write the token is
// verified anew, so that a revocation holds from the next request on.
//
// When and from where a token was used last is written into its status, to the minute: at most one
// write a minute and token, gathered, by a thread of its own.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "runtime/access/token.h"
#include "store/store.h"

namespace frameworks {

// A token that was good.
class AdmittedToken {
 public:
  virtual ~AdmittedToken() = default;
  [[nodiscard]] virtual const Principal& principal() const = 0;
  // For another request that shows the same token, as TokenDesk::admit(); false: it has to be
  // asked, something was written since. Not after the desk is gone. Threadsafe.
  virtual Result<bool> admit_again(std::string_view address) = 0;
};

class TokenDesk {
 public:
  struct Options {
    // How long uses are gathered before they are written.
    Duration gather = std::chrono::seconds(2);
  };
  TokenDesk(Store& store, Clock& clock, Options options);
  TokenDesk(Store& store, Clock& clock) : TokenDesk(store, clock, Options()) {}
  ~TokenDesk();  // before the store; writes what was gathered

  // kUnauthenticated; kResourceExhausted beyond the token's or its tenant's rate. Never waits for
  // the disk. `address` is where the caller is, e.g. "10.0.0.7". Threadsafe.
  Result<std::shared_ptr<AdmittedToken>> admit(std::string_view token, std::string_view address);

  // Whose token it is, for a service that was shown it (a tenant's API key); null when it is not
  // good. Its use is noted; as a request of its own it is neither counted nor limited.
  std::shared_ptr<const Principal> whose(std::string_view token, std::string_view address);

  // Since start.
  [[nodiscard]] uint64_t admitted() const;
  [[nodiscard]] uint64_t refused(TokenRefusal refusal) const;
  [[nodiscard]] uint64_t limited() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace frameworks
