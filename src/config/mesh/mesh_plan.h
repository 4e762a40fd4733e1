// The mesh as a function of the fleet: peers, addresses and names of one node.
//
// All pure and deterministic. The work of a plan grows with the node's neighbourhood and the number
// of clusters, not with the number of nodes.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/mesh/topology.h"
#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/fleet_api.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// Up to this many nodes every node knows every node's name; larger fleets name the neighbourhood
// only, so that a new node does not change the names of all others.
inline constexpr size_t kNamesOfWholeFleet = 256;

// One node's section; of many nodes: mesh_planner.h.
pb::MeshSection plan_mesh(const Snapshot& snapshot, const pb::Node& node);
pb::MeshSection plan_mesh(const MeshTopology& topology, const pb::Node& node);

// "<node>", "<node>.mesh" and "<service>.<cluster>.mesh", this node's own included.
pb::NamesSection plan_names(const Snapshot& snapshot, const pb::Node& node);
// `planned`: the topology of the snapshot, with nodes that have not joined yet.
pb::NamesSection plan_names(const Snapshot& snapshot, const MeshTopology& planned,
                            const pb::Node& node);

// Names of the nodes whose mesh section depends on this node's key and addresses.
std::vector<std::string> mesh_neighbours(const Snapshot& snapshot, const pb::Node& node);

// Names of the nodes whose mesh section may differ after one resource went from `before` to `after`
// (either may be empty: created, deleted). `snapshot` is the fleet after the change.
std::set<std::string> mesh_affected(const Snapshot& snapshot, const Resource& before,
                                    const Resource& after);
// The same of their names section.
std::set<std::string> names_affected(const Snapshot& snapshot, const Resource& before,
                                     const Resource& after);

// What a change of the fleet does to the mesh, once every node has joined; one step a node.
std::vector<pb::PlanStep> explain_mesh(const Snapshot& before, const Snapshot& after,
                                       const std::set<std::string>* only = nullptr);

}  // namespace frameworks
