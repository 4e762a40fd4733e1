// What a rollout does next. Pure: all that it goes by is in the snapshot, so that whoever has the
// lease goes on where another stopped.
//
//   pending ──its turn──► running ◄──► paused
//                            │ every batch done ──► succeeded
//                            │ a batch failed, or aborted
//                            ▼
//                        rolling back ──every changed batch back──► rolled back
//                            │ keep_failed, or going back failed
//                            ▼
//                          failed
//
// A batch: pending ──► [draining] ──► configuring ──► gate ──► done. Going back it walks the same
// way with the last good version, to rolled back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"
#include "runtime/orchestration/disruption_budget.h"

namespace frameworks {

struct RolloutStep {
  pb::RolloutStatus status;  // as it shall be
  // What is to be done with it, in one transaction.
  std::vector<std::string> drain;   // nodes
  std::vector<std::string> resume;  // nodes, as far as this rollout drained them
  // These instances get the version; the nodes of those that are not away are configured by an
  // operation, whose name goes into batch `batch`.
  std::vector<std::string> instances;
  std::string version;
  std::vector<std::string> configure;
  int batch = -1;
  std::optional<std::string> service_version;
  // Look again after this long, or when anything changes.
  std::optional<Duration> again;
};

RolloutStep next_step(const Snapshot& snapshot, const pb::Rollout& rollout, WallTime now,
                      const DisruptionBudget& budget = {});

}  // namespace frameworks
