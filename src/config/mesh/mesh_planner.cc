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

}  // namespace

bool KnownPeers::is_of(const Known& known, const pb::Node& node) {
  const pb::NodeSpec& spec = node.spec();
  return known.public_key == node.status().agent().wireguard_public_key() &&
         known.address == spec.address() && known.mesh_address == spec.mesh_address() &&
         known.mesh_address6 == spec.mesh_address6() && known.port == spec.wireguard_port();
}

PlannedPeerPtr KnownPeers::get(const pb::Node& node) {
  return known_.with([&](auto& all) {
    Known& known = all[node.metadata().name()];
    if (known.peer == nullptr || !is_of(known, node)) {
      const pb::NodeSpec& spec = node.spec();
      known = {node.status().agent().wireguard_public_key(),
               spec.address(),
               spec.mesh_address(),
               spec.mesh_address6(),
               spec.wireguard_port(),
               std::make_shared<const PlannedPeer>(peer_of(node))};
    }
    return known.peer;
  });
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
  const auto routes = topology_.routes(cluster);
  // Machines on a customer's premises may sit behind NAT; only they must keep the way in open.
  const bool behind_nat = cluster.spec().sharing() == pb::SHARING_CUSTOMER_MANAGED;
  for (const NodePtr& node : topology_.neighbours(cluster)) {
    PlannedPeerPtr& added = peers.emplace_back(known_.get(*node));
    const auto through = routes.find(node->metadata().name());
    if (!behind_nat && through == routes.end()) continue;
    pb::MeshPeer peer = added->peer;
    if (behind_nat) peer.set_persistent_keepalive(kKeepaliveThroughNat);
    if (through != routes.end()) add_ranges(through->second, peer);
    added = std::make_shared<const PlannedPeer>(std::move(peer));
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
  const Peers& all = peers_of(*own);
  mesh.peers.reserve(all.size());
  std::copy_if(all.begin(), all.end(), std::back_inserter(mesh.peers),
               [&](const PlannedPeerPtr& each) { return each->peer.node() != name; });
  return mesh;
}

}  // namespace frameworks
