// Who is whose peer in the mesh, and through whom the rest of the fleet is reached.
//
// Not a full mesh. Central nodes peer with everybody; regional nodes with central and regional
// nodes and the edges of their region; edge nodes with their cluster, their region's regional nodes
// and the central nodes. What lies beyond is reached through relays, and the choice of relay is a
// function that both ends compute alike: a WireGuard peer drops packets that come from another peer
// than the one its own packets would go to, so every path must be the same there and back.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

using NodePtr = std::shared_ptr<const pb::Node>;
using ClusterPtr = std::shared_ptr<const pb::Cluster>;

// Has what its peers need: address, mesh address and a WireGuard key.
bool is_mesh_ready(const pb::Node& node);

// One view of the fleet for any number of plans; cheap to make (clusters, central and regional
// nodes). Refers to the snapshot; immutable, thus threadsafe.
class MeshTopology {
 public:
  // kPlanned also counts nodes that have not joined yet: what the mesh will be.
  enum class Nodes { kReady, kPlanned };
  explicit MeshTopology(const Snapshot& snapshot, Nodes nodes = Nodes::kReady);

  // Nodes that `node` exchanges packets with directly, sorted by name; never itself.
  [[nodiscard]] std::vector<NodePtr> neighbours(const pb::Node& node) const;
  // The same of all nodes of a cluster: those that any of them has, members included.
  [[nodiscard]] std::vector<NodePtr> neighbours(const pb::Cluster& cluster) const;
  // By name of a neighbour: the clusters whose nodes are reached through it. The same for all nodes
  // of a cluster.
  [[nodiscard]] std::map<std::string, std::vector<ClusterPtr>> routes(
      const pb::Cluster& cluster) const;
  // Sorted by name.
  [[nodiscard]] const std::vector<ClusterPtr>& clusters() const { return clusters_; }
  // Whether the node is part of this view.
  [[nodiscard]] bool counts(const pb::Node& node) const {
    return nodes_ == Nodes::kPlanned || is_mesh_ready(node);
  }
  // nullptr when there is none of that name.
  [[nodiscard]] ClusterPtr cluster(std::string_view name) const;

 private:
  [[nodiscard]] std::vector<NodePtr> nodes_of(const pb::Cluster& cluster) const;
  [[nodiscard]] std::vector<NodePtr> everybody() const;
  [[nodiscard]] const std::vector<NodePtr>& regionals(const std::string& region) const;
  [[nodiscard]] NodePtr gateway(const pb::Cluster& cluster) const;
  [[nodiscard]] NodePtr relay_between_edges(const pb::Cluster& from, const pb::Cluster& to) const;
  // nullptr: no relay needed, or none there.
  [[nodiscard]] NodePtr relay(const pb::Cluster& from, const pb::Cluster& to) const;

  const Snapshot& snapshot_;
  Nodes nodes_;
  std::vector<ClusterPtr> clusters_;
  std::vector<NodePtr> central_;
  std::map<std::string, std::vector<NodePtr>> regional_by_region_;
};

}  // namespace frameworks
