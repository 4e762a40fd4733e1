// The fleet as Ansible sees it. Nothing secret is in it, and nothing of the nodes' status: it is
// what hosts shall be, so its hash says whether a host has it.
#pragma once

#include <boost/json/object.hpp>
#include <set>
#include <string>
#include <vector>

#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// "service_node_exporter": Ansible's group names have no hyphens.
std::string group_name(std::string_view sort, std::string_view name);

// Every node that has an address: groups all, tier_*, region_*, cluster_* and service_*, and
// `_meta.hostvars`. The form that inventory scripts print for --list.
boost::json::object inventory_json(const Snapshot& snapshot);

// The same for some nodes only.
boost::json::object inventory_json(const Snapshot& snapshot, const std::vector<std::string>& nodes);

// The variables of one host: how it is reached, where it stands, its mesh addresses and its
// services {name, role, version, ports, config}, each after those it depends on.
boost::json::object host_json(const Snapshot& snapshot, const pb::Node& node);

// Hash of all that configures the host. Nodes whose ConfigurationStatus.version is another one
// have yet to be configured.
std::string host_version(const Snapshot& snapshot, const pb::Node& node);

// Which hosts will be configured, and what changes on them: those whose version differs between the
// snapshots or from what was last applied. `only` these nodes may differ between them; null: all.
std::vector<pb::PlanStep> explain_configuration(const Snapshot& before, const Snapshot& after,
                                                const std::set<std::string>* only = nullptr);

}  // namespace frameworks
