#include "config/mesh/mesh_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/mesh/mesh_planner.h"

namespace frameworks {

pb::MeshSection plan_mesh(const Snapshot& snapshot, const pb::Node& node) {
  return plan_mesh(MeshTopology(snapshot), node);
}

pb::MeshSection plan_mesh(const MeshTopology& topology, const pb::Node& node) {
  KnownPeers known;
  return whole_section(MeshPlanner(topology, known).plan(node));
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
std::map<std::string, std::string> peers_of(MeshPlanner& planner, const pb::Node* node) {
  std::map<std::string, std::string> out;
  if (node == nullptr) return out;
  for (const PlannedPeerPtr& each : planner.plan(*node).peers) {
    const pb::MeshPeer& peer = each->peer;
    out[peer.node()] = fmt::format("{} {} {}", peer.endpoint(), peer.persistent_keepalive(),
                                   fmt::join(peer.allowed_ips(), " "));
  }
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
  KnownPeers known;
  MeshPlanner old_planner(old_topology, known);
  MeshPlanner new_planner(new_topology, known);
  NewPeers new_peers(new_topology);
  std::vector<pb::PlanStep> steps;
  // A node that goes away takes its interface with it.
  const auto explain = [&](const std::string& name) {
    const auto* is = after.find<pb::Node>(name);
    if (is == nullptr) return;
    const auto* was = before.find<pb::Node>(name);
    const std::string summary =
        was == nullptr ? new_peers.summary(*is)
                       : difference(peers_of(old_planner, was), peers_of(new_planner, is));
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
