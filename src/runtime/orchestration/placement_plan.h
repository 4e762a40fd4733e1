// Which node runs which service: instances, derived from services, clusters and nodes inside the
// transaction that changed one of them. Pure; a second run writes nothing, and what is there moves
// only when it must.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "model/snapshot.h"
#include "store/store.h"

namespace frameworks {

// "<service>.<node>"
std::string instance_name(std::string_view service, std::string_view node);

// Everything.
Status plan_instances(Transaction& transaction);

// The same where it is known what the transaction wrote so far: work grows with the nodes and
// services that `changed` concerns.
Status plan_instances(Transaction& transaction, std::span<const ResourceKey> changed);

// Which instances come, go, or get another version, with why; and which services have instances
// that fit nowhere, with the constraint that keeps them off and how close it came.
std::vector<pb::PlanStep> explain_placement(const Snapshot& before, const Snapshot& after);
// The same where it is known what differs: work grows with that.
std::vector<pb::PlanStep> explain_placement(const Snapshot& before, const Snapshot& after,
                                            std::span<const ResourceKey> changed);

}  // namespace frameworks
