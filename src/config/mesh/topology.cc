#include "config/mesh/topology.h"

#include <algorithm>
#include <unordered_set>

namespace frameworks {
namespace {

bool by_name(const NodePtr& a, const NodePtr& b) {
  return a->metadata().name() < b->metadata().name();
}

// FNV-1a with a finalizer: the same on every build of every server, unlike std::hash.
uint64_t stable_hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccd;
  return hash ^ (hash >> 33);
}

// Rendezvous hashing: when a candidate comes or goes, only its own share moves.
NodePtr pick(const std::vector<NodePtr>& candidates, const std::string& key) {
  NodePtr best;
  uint64_t best_score = 0;
  for (const NodePtr& candidate : candidates) {
    const uint64_t score = stable_hash(candidate->metadata().name() + "\x1f" + key);
    if (best == nullptr || score > best_score) {
      best = candidate;
      best_score = score;
    }
  }
  return best;
}

}  // namespace

bool is_mesh_ready(const pb::Node& node) {
  return !node.spec().address().empty() && !node.spec().mesh_address().empty() &&
         !node.status().agent().wireguard_public_key().empty() &&
         !node.metadata().has_delete_time();
}

MeshTopology::MeshTopology(const Snapshot& snapshot, Nodes nodes)
    : snapshot_(snapshot), nodes_(nodes), clusters_(snapshot.list<pb::Cluster>()) {
  for (const ClusterPtr& cluster : clusters_) {
    if (cluster->spec().tier() == pb::TIER_CENTRAL) {
      for (NodePtr& node : nodes_of(*cluster)) central_.push_back(std::move(node));
    } else if (cluster->spec().tier() == pb::TIER_REGIONAL) {
      auto& region = regional_by_region_[cluster->spec().region()];
      for (NodePtr& node : nodes_of(*cluster)) region.push_back(std::move(node));
    }
  }
}

ClusterPtr MeshTopology::cluster(std::string_view name) const {
  const auto found = std::lower_bound(
      clusters_.begin(), clusters_.end(), name,
      [](const ClusterPtr& cluster, std::string_view n) { return cluster->metadata().name() < n; });
  return found != clusters_.end() && (*found)->metadata().name() == name ? *found : nullptr;
}

std::vector<NodePtr> MeshTopology::nodes_of(const pb::Cluster& cluster) const {
  auto nodes = snapshot_.find_by<pb::Node>("cluster", cluster.metadata().name());
  std::erase_if(nodes, [this](const NodePtr& node) { return !counts(*node); });
  return nodes;
}

const std::vector<NodePtr>& MeshTopology::regionals(const std::string& region) const {
  static const std::vector<NodePtr> kNone;
  const auto found = regional_by_region_.find(region);
  return found == regional_by_region_.end() ? kNone : found->second;
}

std::vector<NodePtr> MeshTopology::neighbours(const pb::Node& node) const {
  const ClusterPtr own = cluster(node.spec().cluster());
  if (own == nullptr) return {};
  auto out = neighbours(*own);
  std::erase_if(out, [&](const NodePtr& other) {
    return other->metadata().name() == node.metadata().name();
  });
  return out;
}

// Those of clusters of any tier; sorted already, which counts with very many.
std::vector<NodePtr> MeshTopology::everybody() const {
  std::unordered_set<std::string_view> in_tiers;
  for (const ClusterPtr& cluster : clusters_)
    if (cluster->spec().tier() != pb::TIER_UNSPECIFIED) in_tiers.insert(cluster->metadata().name());
  auto nodes = snapshot_.list<pb::Node>();
  std::erase_if(nodes, [&](const NodePtr& node) {
    return !counts(*node) || !in_tiers.contains(node->spec().cluster());
  });
  return nodes;
}

std::vector<NodePtr> MeshTopology::neighbours(const pb::Cluster& own) const {
  const pb::Tier tier = own.spec().tier();
  if (tier == pb::TIER_CENTRAL) return everybody();
  std::vector<NodePtr> out = central_;
  const auto add = [&out](const std::vector<NodePtr>& nodes) {
    out.insert(out.end(), nodes.begin(), nodes.end());
  };
  if (tier == pb::TIER_REGIONAL) {
    for (const auto& [region, nodes] : regional_by_region_) add(nodes);
    for (const ClusterPtr& other : clusters_)
      if (other->spec().tier() == pb::TIER_EDGE && other->spec().region() == own.spec().region())
        add(nodes_of(*other));
  } else {
    add(regionals(own.spec().region()));
    add(nodes_of(own));
  }
  std::sort(out.begin(), out.end(), by_name);
  return out;
}

NodePtr MeshTopology::gateway(const pb::Cluster& cluster) const {
  const auto& regional = regionals(cluster.spec().region());
  return pick(regional.empty() ? central_ : regional, cluster.metadata().name());
}

NodePtr MeshTopology::relay_between_edges(const pb::Cluster& from, const pb::Cluster& to) const {
  const bool from_has = !regionals(from.spec().region()).empty();
  const bool to_has = !regionals(to.spec().region()).empty();
  const bool same_region = from.spec().region() == to.spec().region();
  // Where the candidates of both sides are each other's equals, one relay serves the pair.
  if (same_region || (!from_has && !to_has)) {
    const auto [low, high] = std::minmax(from.metadata().name(), to.metadata().name());
    return pick(from_has ? regionals(from.spec().region()) : central_, low + "\x1f" + high);
  }
  // A central gateway of the far side is a neighbour already: one hop.
  if (from_has && !to_has) return gateway(to);
  // Two hops: my region's gateway, then theirs.
  return gateway(from);
}

NodePtr MeshTopology::relay(const pb::Cluster& from, const pb::Cluster& to) const {
  if (from.spec().tier() == pb::TIER_CENTRAL || to.spec().tier() == pb::TIER_CENTRAL)
    return nullptr;
  const bool same_region = from.spec().region() == to.spec().region();
  if (from.spec().tier() == pb::TIER_REGIONAL)
    return to.spec().tier() == pb::TIER_REGIONAL || same_region ? nullptr : gateway(to);
  if (to.spec().tier() == pb::TIER_REGIONAL) return same_region ? nullptr : gateway(from);
  if (from.metadata().name() == to.metadata().name()) return nullptr;
  return relay_between_edges(from, to);
}

std::map<std::string, std::vector<ClusterPtr>> MeshTopology::routes(const pb::Cluster& own) const {
  std::map<std::string, std::vector<ClusterPtr>> out;
  for (const ClusterPtr& other : clusters_)
    if (const NodePtr through = relay(own, *other); through != nullptr)
      out[through->metadata().name()].push_back(other);
  return out;
}

}  // namespace frameworks
