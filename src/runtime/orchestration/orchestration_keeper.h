// Rollouts and drains go on by themselves: reconcilers that take the steps which rollout_step.h and
// drain_step.h say.
//
// One thread follows the store; what it knows is there, so that a server that starts, or gets the
// lease, goes on where another stopped. One keeper at a time: run it where the lease is, on a store
// whose writes are the holder's alone.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "runtime/orchestration/rollout_step.h"
#include "store/store.h"

namespace frameworks {

class OrchestrationKeeper {
 public:
  struct Options {
    // Told after a write that queued an operation.
    std::function<void()> wake_operations = [] {};
    DisruptionBudget budget{};
  };
  // `store` and `clock` outlive it.
  static Result<std::unique_ptr<OrchestrationKeeper>> start(Store& store, Clock& clock,
                                                            Options options);
  virtual ~OrchestrationKeeper() = default;  // stops
};

}  // namespace frameworks
