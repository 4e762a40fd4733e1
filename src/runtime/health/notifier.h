// Tells receivers of incidents that open and close: at least once each, also across restarts.
//
// Whether the newest state of an incident has been told is kept in its status (notify_time), which
// nothing else writes but this; a receiver that does not take it is asked again, ever more rarely,
// and why it did not is kept beside it (notify_error). An incident that closes before its opening
// could be told is told as closed. Run it where the lease is.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "runtime/health/notice.h"
#include "store/store.h"

namespace frameworks {

class Notifier {
 public:
  struct Options {
    std::vector<Receiver> receivers{};
    // Alertmanager forgets alerts that are not told again: open incidents are, this often.
    Duration repeat = std::chrono::seconds(60);
    Duration first_retry = std::chrono::seconds(1);
    Duration last_retry = std::chrono::seconds(60);
  };
  // `store`, `clock` and `client` outlive it.
  static Result<std::unique_ptr<Notifier>> start(Store& store, Clock& clock, WebClient& client,
                                                 Options options);
  virtual ~Notifier() = default;  // stops; waits for a request that runs

  struct Counts {
    int64_t told = 0;
    int64_t failed = 0;
  };
  [[nodiscard]] virtual Counts counts() const = 0;  // since start
};

}  // namespace frameworks
