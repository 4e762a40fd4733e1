// Mesh sections of many nodes of one fleet: what they have in common is worked out once.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/locked.h"
#include "config/mesh/mesh_changes.h"
#include "config/mesh/topology.h"
#include "frameworks/v1/node.pb.h"

namespace frameworks {

inline constexpr int kDefaultWireguardPort = 51820;

// Nodes as their peers see them, kept from plan to plan: of a large fleet only those that changed
// are made again. Threadsafe.
class KnownPeers {
 public:
  // In the order of `nodes`.
  std::vector<PlannedPeerPtr> get(const std::vector<NodePtr>& nodes);
  // Forgets nodes that went, when there are many more known than `nodes`.
  void limit(size_t nodes);

 private:
  // What a peer is made of, beside its name.
  struct Known {
    std::string public_key;
    std::string address;
    std::string mesh_address;
    std::string mesh_address6;
    int port = 0;
    PlannedPeerPtr peer;
  };
  static bool is_of(const Known& known, const pb::Node& node);
  static Known known_of(const pb::Node& node);
  Locked<std::unordered_map<std::string, Known>> known_;
};

// For one thread. Both must outlive it.
class MeshPlanner {
 public:
  MeshPlanner(const MeshTopology& topology, KnownPeers& known)
      : topology_(topology), known_(known) {}

  // Without peers until the node itself has a key: links come up from both ends at one revision.
  PlannedMesh plan(const pb::Node& node);

 private:
  using Peers = std::vector<PlannedPeerPtr>;
  // Of all nodes of a cluster, themselves included; sorted by node.
  const Peers& peers_of(const pb::Cluster& cluster);

  const MeshTopology& topology_;
  KnownPeers& known_;
  std::map<std::string, Peers, std::less<>> clusters_;
};

}  // namespace frameworks
