// What a node's agent is to check: the section "checks" of its plan.
#pragma once

#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// One entry for every instance on the node, also for those without checks; then one for every
// instance of another region that the node is to look at from outside. Pure; ordered by instance
// and by the service's order of checks.
pb::ChecksSection plan_checks(const Snapshot& snapshot, const pb::Node& node);

// The probes of one instance.
pb::InstanceChecks plan_instance_checks(const Snapshot& snapshot, const pb::Node& node,
                                        const pb::Instance& instance);

// The probes of an instance of another region that `observer` makes: of public ports, where the
// check says so. Two nodes make them, of different regions where there are so many; who they are
// follows from the names alone, and changes with few of the changes of a fleet.
pb::InstanceChecks plan_outside_checks(const Snapshot& snapshot, const pb::Node& observer,
                                       const pb::Instance& instance);

// Names of the nodes whose checks may differ because of these changes, with repetitions.
std::vector<std::string> checks_affected(const Snapshot& after, const Resource& before,
                                         const Resource& changed);
// The same of checks from outside: all nodes, when who looks may have changed at all.
std::vector<std::string> outside_affected(const Snapshot& after, const Resource& before,
                                          const Resource& changed);

}  // namespace frameworks
