// What happens to tenants by itself, later: grants expire at their moment, deletions go on to their
// end, custom domains are looked for.
//
// One thread follows the store and the clock, reconcilers do the work; what they know is in the
// store, so that a server that starts goes on where another stopped. One keeper at a time: run it
// where the lease is.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "runtime/tenants/txt_resolver.h"
#include "store/store.h"

namespace frameworks {

class TenantKeeper {
 public:
  struct Options {
    // Told after a write that queued an operation: machines of a tenant that goes.
    std::function<void()> wake_operations = [] {};
    // How often a deletion that is blocked looks whether it still is, beside each change that may
    // have been waited for.
    Duration look_again = std::chrono::seconds(30);
  };
  // `store`, `clock` and `resolver` outlive it.
  static Result<std::unique_ptr<TenantKeeper>> start(Store& store, Clock& clock,
                                                     TxtResolver& resolver, Options options);
  virtual ~TenantKeeper() = default;  // stops; waits for what runs, a question to the DNS included
};

}  // namespace frameworks
