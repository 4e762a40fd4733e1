// What a node's agent is to check: the section "checks" of its plan.
#pragma once

#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// One entry for every instance on the node, also for those without checks. Pure; ordered by
// instance and by the service's order of checks.
pb::ChecksSection plan_checks(const Snapshot& snapshot, const pb::Node& node);

// The probes of one instance.
pb::InstanceChecks plan_instance_checks(const Snapshot& snapshot, const pb::Node& node,
                                        const pb::Instance& instance);

// Names of the nodes whose checks may differ because of these changes, with repetitions.
std::vector<std::string> checks_affected(const Snapshot& after, const Resource& before,
                                         const Resource& changed);

}  // namespace frameworks
