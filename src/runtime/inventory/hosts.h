// Which nodes an inventory tells of, with what runs on them. Pure.
#pragma once

#include <memory>
#include <vector>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

struct Host {
  std::shared_ptr<const pb::Node> node;
  const pb::Cluster* cluster = nullptr;                        // of the snapshot; never null
  std::vector<std::shared_ptr<const pb::Instance>> instances;  // in order of service
};

// The nodes for which all that is set in the filter holds, in order of name. kInvalidArgument for a
// region, cluster, service or tenant that does not exist: a misspelt name shall not look like an
// empty fleet.
Result<std::vector<Host>> select_hosts(const Snapshot& snapshot, const pb::InventoryFilter& filter);

// One node, or some; in order of name. Names of no node are left out.
std::vector<Host> hosts_named(const Snapshot& snapshot, const std::vector<std::string>& names);

// Not seen yet is unknown.
pb::Health health_of(const pb::Node& node);

}  // namespace frameworks
