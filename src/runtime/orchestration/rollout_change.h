// Takes a rollout's next step: what next_step() says, as one transaction.
#pragma once

#include <optional>
#include <string>

#include "runtime/orchestration/rollout_step.h"
#include "store/store.h"

namespace frameworks {

inline constexpr const char* kOrchestrationActor = "system/orchestration";

struct RolloutMove {
  bool wrote = false;             // look at once whether there is more
  bool queued_operation = false;  // wake the operations
  std::string told;               // for the log; empty: nothing new
  std::optional<Duration> again;
};

// Nothing where the rollout is gone or has ended.
RolloutMove move_rollout(Transaction& transaction, const std::string& rollout,
                         const DisruptionBudget& budget);

// Rollouts of services that are gone go as well, and of those that have ended the newest ten of
// each service stay.
void drop_rollouts(Transaction& transaction, const std::string& service);

}  // namespace frameworks
