// Who may reach a service's mesh ports.
#pragma once

#include <set>
#include <string>

#include "frameworks/v1/service.pb.h"
#include "machine/network_security/ruleset.h"
#include "model/snapshot.h"

namespace frameworks {

// Mesh addresses of the service's consumers: the nodes of consuming services, and the mesh ranges
// of the clusters of consuming tiers (a cluster's range has no addresses but its nodes', and so a
// new node of a tier changes no other node's filter).
AddressList consumer_addresses(const Snapshot& snapshot, const pb::Service& service);

// Nodes that run a service which one of `services`, or `tier`, consumes.
std::set<std::string> provider_nodes(const Snapshot& snapshot,
                                     const std::set<std::string>& services, pb::Tier tier);

// Nodes that run the service.
std::set<std::string> nodes_of_service(const Snapshot& snapshot, const std::string& service);

}  // namespace frameworks
