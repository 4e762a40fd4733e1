// Nodes of machine pools, and addresses of nodes: derived from the model, inside the transaction
// that changed it.
//
// A local pool of count n has n nodes named <cluster>-<number>. Growing takes the lowest free
// numbers, shrinking gives up the highest. A node keeps its number and its addresses as long as it
// lives; a new one prefers the addresses whose offset in the cluster's ranges is its number
// (core-1: 10.99.1.1, 10.64.1.1). Nodes that were listed by hand get mesh addresses when they have
// none. Pure; a second run writes nothing.
#pragma once

#include <set>
#include <span>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"
#include "store/store.h"

namespace frameworks {

// Everything. kInvalidArgument when a range has no address left; names pool or node, and range.
Status plan_pool_nodes(Transaction& transaction);

// The same where it is known what the transaction wrote so far: work grows with the clusters that
// `changed` concerns.
Status plan_pool_nodes(Transaction& transaction, std::span<const ResourceKey> changed);

// Gives `now`, which a file asks for, the addresses that the node was given and the file leaves
// out.
void keep_addresses(const pb::NodeSpec& was, pb::NodeSpec& now);

// What happens to machines of local pools: create, update (size, place) and delete.
std::vector<pb::PlanStep> explain_machines(const Snapshot& before, const Snapshot& after,
                                           const std::set<std::string>* only = nullptr);

}  // namespace frameworks
