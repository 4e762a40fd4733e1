// The packet filter of a node as a function of the fleet: one nftables table, "inet frameworks".
//
// Default drop. Open are: what answers to us, loopback, the ICMP that networks need, SSH,
// WireGuard, public ports of the services on the node, and mesh ports for the nodes of their
// consumers. Rules of operators (FirewallRule) come before all of the latter. All pure and
// deterministic.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

pb::FirewallSection plan_firewall(const Snapshot& snapshot, const pb::Node& node);

// Names of the nodes whose filter may differ after one resource went from `before` to `after`
// (either may be empty: created, deleted). `snapshot` is the fleet after the change.
std::set<std::string> firewall_affected(const Snapshot& snapshot, const Resource& before,
                                        const Resource& after);

// One step a node whose filter changes, with the rules that come and go.
std::vector<pb::PlanStep> explain_firewall(const Snapshot& before, const Snapshot& after,
                                           const std::set<std::string>* only = nullptr);

}  // namespace frameworks
