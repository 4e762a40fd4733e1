// How a new version goes out over a service's instances: in which batches, in which order, and
// which version an instance has meanwhile. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// A rollout's strategy with all that it leaves open: what the service says, then the defaults.
struct RolloutTerms {
  int canary = 1;
  int batch_size = 1;
  int max_unavailable = 1;
  Duration gate = std::chrono::seconds(10);
  Duration patience = std::chrono::minutes(5);
  Duration region_stagger{};
  Duration drain{};
  bool keep_failed = false;
};
RolloutTerms rollout_terms(const Snapshot& snapshot, const pb::Rollout& rollout);

// Running, paused or going back: it changes instances, or may.
bool is_under_way(const pb::Rollout& rollout);
// Succeeded, rolled back or failed.
bool has_ended(const pb::Rollout& rollout);
// The rollout of the service that is under way; else the oldest that waits for its turn; empty:
// none.
std::string current_rollout(const Snapshot& snapshot, const std::string& service);
// The same for the one that ended last.
std::string last_rollout(const Snapshot& snapshot, const std::string& service);

// The instances that do not have the version yet, none twice, each batch of one region. Canaries
// come first, in one region and on nodes that work; then the rest of that region; then the others
// by name.
std::vector<pb::RolloutBatch> plan_batches(const Snapshot& snapshot, const pb::Rollout& rollout);

// The version of a service's instance on a node as the model is now: the service's, or, during a
// rollout, what the instance has; a new one has the last good version, unless its batch is done. A
// rollout that failed and was kept holds its versions until the service's own is changed.
std::string version_for(const Snapshot& snapshot, const pb::Service& service,
                        const std::string& node, const pb::Instance* existing);

// "media-3"
std::string next_rollout_name(const Snapshot& snapshot, const std::string& service);

}  // namespace frameworks
