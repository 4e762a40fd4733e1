// What the fleet says of one batch of a rollout. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

google::protobuf::Timestamp batch_time(WallTime time);
WallTime time_of(const google::protobuf::Timestamp& time);

// Names of the rollout's instances on the batch's nodes, as far as they are still there.
std::vector<std::string> batch_instances(const Snapshot& snapshot, const pb::Rollout& rollout,
                                         const pb::RolloutBatch& batch);
// The batch's nodes that can be configured: neither down nor switched off.
std::vector<std::string> reachable_nodes(const Snapshot& snapshot, const pb::RolloutBatch& batch);

// The instance does not work.
bool is_away(const Snapshot& snapshot, const std::string& instance);
// Its machine was switched off, or somebody is at work on it.
bool is_away_on_purpose(const Snapshot& snapshot, const pb::Instance& instance);

// How many nodes are changed now by other rollouts than this one.
int nodes_under_change(const Snapshot& snapshot, const std::string& except);

// What the drain of the batch's nodes waits for; empty: nothing.
std::string drain_waits_for(const Snapshot& snapshot, const pb::RolloutBatch& batch);

// Why the ended operation did not bring the batch's nodes there; empty: it did.
std::string why_not_configured(const Snapshot& snapshot, const pb::RolloutBatch& batch,
                               const pb::Operation& operation);

struct GateView {
  int watched = 0;        // instances that were configured
  std::string unhealthy;  // the first that is not healthy, and why; empty: all are
  WallTime begun;         // when the operation had ended
};
GateView look_at_gate(const Snapshot& snapshot, const pb::Rollout& rollout,
                      const pb::RolloutBatch& batch);

}  // namespace frameworks
