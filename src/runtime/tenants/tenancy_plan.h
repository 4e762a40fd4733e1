// Which tenants a node may serve: what its agent answers media servers from, also while the server
// is away.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// Tenants with a valid grant on the node's cluster, by name; none for a node without a
// tenant-facing service. A suspended tenant is listed as such, so that a refusal can say why.
pb::TenancySection plan_tenancy(const Snapshot& snapshot, const pb::Node& node);
// Whether the node has a tenant-facing service. All that have one are told the same in a cluster.
bool serves_tenants(const Snapshot& snapshot, const pb::Node& node);

// Names of the nodes whose tenancy plan may differ because one resource changed from `before` to
// `after` (either may be empty); `snapshot` is the fleet after it.
std::set<std::string> tenancy_affected(const Snapshot& snapshot, const Resource& before,
                                       const Resource& after);

// Who may use which cluster from now on, and who no longer: entitle, withdraw, suspend, resume.
std::vector<pb::PlanStep> explain_tenants(const Snapshot& before, const Snapshot& after);
// The same of these tenants only.
std::vector<pb::PlanStep> explain_tenants(const Snapshot& before, const Snapshot& after,
                                          const std::set<std::string>& tenants);

}  // namespace frameworks
