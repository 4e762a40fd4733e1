#include "config/mesh/mesh_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/ip.h"

namespace frameworks {
namespace {

// Seconds; what WireGuard's authors recommend against the shortest UDP timeouts of NAT boxes.
constexpr int kKeepaliveThroughNat = 25;

std::string endpoint(const pb::NodeSpec& spec) {
  const int port = spec.wireguard_port() != 0 ? spec.wireguard_port() : kDefaultWireguardPort;
  const bool v6 = spec.address().find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", spec.address(), port)
            : fmt::format("{}:{}", spec.address(), port);
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

}  // namespace

pb::MeshSection plan_mesh(const Snapshot& snapshot, const pb::Node& node) {
  return plan_mesh(MeshTopology(snapshot), node);
}

pb::MeshSection plan_mesh(const MeshTopology& topology, const pb::Node& node) {
  pb::MeshSection section;
  section.set_node(node.metadata().name());
  for (std::string& address : host_addresses(node.spec()))
    section.add_addresses(std::move(address));
  section.set_listen_port(node.spec().wireguard_port() != 0 ? node.spec().wireguard_port()
                                                            : kDefaultWireguardPort);
  const ClusterPtr own = topology.cluster(node.spec().cluster());
  if (own == nullptr) return section;
  section.set_forward(own->spec().tier() == pb::TIER_CENTRAL ||
                      own->spec().tier() == pb::TIER_REGIONAL);
  if (!topology.counts(node)) return section;
  // Machines on a customer's premises may sit behind NAT; only they must keep the way in open.
  const bool behind_nat = own->spec().sharing() == pb::SHARING_CUSTOMER_MANAGED;
  const auto routes = topology.routes(node);
  for (const NodePtr& neighbour : topology.neighbours(node)) {
    pb::MeshPeer& peer = *section.add_peers();
    peer.set_node(neighbour->metadata().name());
    peer.set_public_key(neighbour->status().agent().wireguard_public_key());
    peer.set_endpoint(endpoint(neighbour->spec()));
    if (behind_nat) peer.set_persistent_keepalive(kKeepaliveThroughNat);
    for (std::string& address : host_addresses(neighbour->spec()))
      peer.add_allowed_ips(std::move(address));
    if (const auto through = routes.find(peer.node()); through != routes.end())
      add_ranges(through->second, peer);
  }
  return section;
}

std::vector<std::string> mesh_neighbours(const Snapshot& snapshot, const pb::Node& node) {
  const MeshTopology topology(snapshot, MeshTopology::Nodes::kPlanned);
  std::vector<std::string> out;
  for (const NodePtr& neighbour : topology.neighbours(node))
    out.push_back(neighbour->metadata().name());
  return out;
}

namespace {

// Peer's name → all that it carries, as one text.
std::map<std::string, std::string> peers_of(const MeshTopology& topology, const pb::Node* node) {
  std::map<std::string, std::string> out;
  if (node == nullptr) return out;
  const pb::MeshSection section = plan_mesh(topology, *node);
  for (const pb::MeshPeer& peer : section.peers())
    out[peer.node()] = fmt::format("{} {} {}", peer.endpoint(), peer.persistent_keepalive(),
                                   fmt::join(peer.allowed_ips(), " "));
  return out;
}

constexpr size_t kShown = 5;

// `count`: of all, where `names` are only the first of them.
std::string shortened(const std::vector<std::string>& names, size_t count) {
  if (count <= kShown) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kShown, ", "),
                     count - kShown);
}

std::string difference(const std::map<std::string, std::string>& before,
                       const std::map<std::string, std::string>& after) {
  std::vector<std::string> added, removed, changed, parts;
  for (const auto& [name, text] : after) {
    const auto old = before.find(name);
    if (old == before.end())
      added.push_back(name);
    else if (old->second != text)
      changed.push_back(name);
  }
  for (const auto& [name, text] : before)
    if (!after.contains(name)) removed.push_back(name);
  if (!added.empty()) parts.push_back("peers with " + shortened(added, added.size()));
  if (!removed.empty())
    parts.push_back("no longer peers with " + shortened(removed, removed.size()));
  if (!changed.empty())
    parts.push_back("other routes through " + shortened(changed, changed.size()));
  return fmt::format("{}", fmt::join(parts, "; "));
}

// The peers of nodes that are new. Those of a cluster have the same ones, but for themselves.
class NewPeers {
 public:
  explicit NewPeers(const MeshTopology& topology) : topology_(topology) {}

  std::string summary(const pb::Node& node) {
    const auto [at, first] = clusters_.try_emplace(node.spec().cluster());
    std::vector<std::string>& names = at->second;
    const std::string& own = node.metadata().name();
    if (first) {
      for (const NodePtr& peer : topology_.neighbours(node))
        names.push_back(peer->metadata().name());
      names.insert(std::lower_bound(names.begin(), names.end(), own), own);
    }
    // Enough of the others to be named, and how many there are.
    std::vector<std::string> others;
    for (const std::string& name : names) {
      if (name != own) others.push_back(name);
      if (others.size() > kShown) break;
    }
    return others.empty() ? std::string() : "peers with " + shortened(others, names.size() - 1);
  }

 private:
  const MeshTopology& topology_;
  std::map<std::string, std::vector<std::string>> clusters_;
};

}  // namespace

std::vector<pb::PlanStep> explain_mesh(const Snapshot& before, const Snapshot& after,
                                       const std::set<std::string>* only) {
  const MeshTopology old_topology(before, MeshTopology::Nodes::kPlanned);
  const MeshTopology new_topology(after, MeshTopology::Nodes::kPlanned);
  NewPeers new_peers(new_topology);
  std::vector<pb::PlanStep> steps;
  // A node that goes away takes its interface with it.
  const auto explain = [&](const std::string& name) {
    const auto* is = after.find<pb::Node>(name);
    if (is == nullptr) return;
    const auto* was = before.find<pb::Node>(name);
    const std::string summary =
        was == nullptr ? new_peers.summary(*is)
                       : difference(peers_of(old_topology, was), peers_of(new_topology, is));
    if (summary.empty()) return;
    pb::PlanStep& step = steps.emplace_back();
    step.set_layer("config");
    step.set_action(was == nullptr ? "create" : "update");
    step.set_object("Node/" + name);
    step.set_summary("mesh: " + summary);
  };
  if (only != nullptr)
    for (const std::string& name : *only) explain(name);
  else
    for (const NodePtr& node : after.list<pb::Node>()) explain(node->metadata().name());
  return steps;
}

}  // namespace frameworks
