#include "config/mesh/mesh_planner.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {
namespace {

// Seconds; what WireGuard's authors recommend against the shortest UDP timeouts of NAT boxes.
constexpr int kKeepaliveThroughNat = 25;

int port_of(const pb::NodeSpec& spec) {
  return spec.wireguard_port() != 0 ? spec.wireguard_port() : kDefaultWireguardPort;
}

std::string endpoint(const pb::NodeSpec& spec) {
  const bool v6 = spec.address().find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", spec.address(), port_of(spec))
            : fmt::format("{}:{}", spec.address(), port_of(spec));
}

std::vector<std::string> host_addresses(const pb::NodeSpec& spec) {
  std::vector<std::string> out;
  if (!spec.mesh_address().empty()) out.push_back(spec.mesh_address() + "/32");
  if (!spec.mesh_address6().empty()) out.push_back(spec.mesh_address6() + "/128");
  return out;
}

void add_ranges(const std::vector<ClusterPtr>& clusters, pb::MeshPeer& peer) {
  for (const ClusterPtr& cluster : clusters) {
    const auto& networks = cluster->spec().networks();
    if (!networks.mesh().empty()) peer.add_allowed_ips(networks.mesh());
    if (!networks.mesh6().empty()) peer.add_allowed_ips(networks.mesh6());
  }
}

pb::MeshPeer peer_of(const pb::Node& node) {
  pb::MeshPeer peer;
  peer.set_node(node.metadata().name());
  peer.set_public_key(node.status().agent().wireguard_public_key());
  peer.set_endpoint(endpoint(node.spec()));
  for (std::string& address : host_addresses(node.spec())) peer.add_allowed_ips(std::move(address));
  return peer;
}

// Of peers sorted by node; end() when it is not among them.
std::vector<PlannedPeerPtr>::iterator find_peer(std::vector<PlannedPeerPtr>& peers,
                                                const std::string& node) {
  const auto at = std::lower_bound(
      peers.begin(), peers.end(), node,
      [](const PlannedPeerPtr& each, const std::string& n) { return each->peer.node() < n; });
  return at != peers.end() && (*at)->peer.node() == node ? at : peers.end();
}

}  // namespace

bool KnownPeers::is_of(const Known& known, const pb::Node& node) {
  const pb::NodeSpec& spec = node.spec();
  return known.public_key == node.status().agent().wireguard_public_key() &&
         known.address == spec.address() && known.mesh_address == spec.mesh_address() &&
         known.mesh_address6 == spec.mesh_address6() && known.port == spec.wireguard_port();
}

KnownPeers::Known KnownPeers::known_of(const pb::Node& node) {
  const pb::NodeSpec& spec = node.spec();
  return {node.status().agent().wireguard_public_key(),
          spec.address(),
          spec.mesh_address(),
          spec.mesh_address6(),
          spec.wireguard_port(),
          std::make_shared<const PlannedPeer>(peer_of(node))};
}

std::vector<PlannedPeerPtr> KnownPeers::get(const std::vector<NodePtr>& nodes) {
  std::vector<PlannedPeerPtr> out;
  out.reserve(nodes.size());
  known_.with([&](auto& all) {
    for (const NodePtr& node : nodes) {
      Known& known = all[node->metadata().name()];
      if (known.peer == nullptr || !is_of(known, *node)) known = known_of(*node);
      out.push_back(known.peer);
    }
  });
  return out;
}

void KnownPeers::limit(size_t nodes) {
  constexpr size_t kSlack = 1000;
  known_.with([&](auto& all) {
    if (all.size() > nodes + nodes / 4 + kSlack) all.clear();
  });
}

const MeshPlanner::Peers& MeshPlanner::peers_of(const pb::Cluster& cluster) {
  const auto [at, first] = clusters_.try_emplace(cluster.metadata().name());
  Peers& peers = at->second;
  if (!first) return peers;
  peers = known_.get(topology_.neighbours(cluster));
  // Machines on a customer's premises may sit behind NAT; only they must keep the way in open.
  if (cluster.spec().sharing() == pb::SHARING_CUSTOMER_MANAGED) {
    for (PlannedPeerPtr& each : peers) {
      pb::MeshPeer peer = each->peer;
      peer.set_persistent_keepalive(kKeepaliveThroughNat);
      each = std::make_shared<const PlannedPeer>(std::move(peer));
    }
  }
  for (const auto& [relay, clusters] : topology_.routes(cluster)) {
    const auto through = find_peer(peers, relay);
    if (through == peers.end()) continue;
    pb::MeshPeer peer = (*through)->peer;
    add_ranges(clusters, peer);
    *through = std::make_shared<const PlannedPeer>(std::move(peer));
  }
  return peers;
}

PlannedMesh MeshPlanner::plan(const pb::Node& node) {
  PlannedMesh mesh;
  const std::string& name = node.metadata().name();
  mesh.own.set_node(name);
  for (std::string& address : host_addresses(node.spec()))
    mesh.own.add_addresses(std::move(address));
  mesh.own.set_listen_port(port_of(node.spec()));
  const ClusterPtr own = topology_.cluster(node.spec().cluster());
  if (own == nullptr) return mesh;
  mesh.own.set_forward(own->spec().tier() == pb::TIER_CENTRAL ||
                       own->spec().tier() == pb::TIER_REGIONAL);
  if (!topology_.counts(node)) return mesh;
  mesh.peers = peers_of(*own);
  const auto itself = find_peer(mesh.peers, name);
  if (itself != mesh.peers.end()) mesh.peers.erase(itself);
  return mesh;
}

}  // namespace frameworks
