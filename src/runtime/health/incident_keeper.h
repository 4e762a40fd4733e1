// Keeps the fleet's incidents: opens one a cause, keeps its timeline, closes it when it is over.
//
// Follows the store; what it does follows from a snapshot (incident_plan.h), so that a keeper that
// starts goes on where another stopped. One keeper at a time: run it where the lease is.
#pragma once

#include <memory>

#include "base/clock.h"
#include "store/store.h"

namespace frameworks {

class IncidentKeeper {
 public:
  struct Options {
    // A cause must last so long before its incident opens: what happens together is then told
    // together.
    Duration settle = std::chrono::seconds(1);
    Duration tick = std::chrono::milliseconds(500);
    // A thread of its own calls step(); else the owner does, every tick.
    bool has_thread = true;
  };
  // `store` and `clock` outlive it.
  static Result<std::unique_ptr<IncidentKeeper>> start(Store& store, Clock& clock, Options options);
  virtual ~IncidentKeeper() = default;  // stops and joins

  virtual void step() = 0;
};

}  // namespace frameworks
