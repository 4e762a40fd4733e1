#include "runtime/orchestration/counted.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "runtime/orchestration/obstacle.h"

namespace frameworks {
namespace {

using NodePtr = std::shared_ptr<const pb::Node>;

// The same for a service and a node always, and unlike for other services: which of equal nodes is
// taken hardly depends on which nodes there are (rendezvous hashing).
std::string rank(const std::string& service, const std::string& node) {
  return sha256(service + '/' + node).substr(0, 8);
}

// The clusters of one count, with what they hold of the service.
class Group {
 public:
  Group(const Snapshot& snapshot, const pb::Service& service, int wanted)
      : snapshot_(snapshot), service_(service), wanted_(wanted) {}

  void add_instance(const pb::Node& node) {
    instances_.push_back(node.metadata().name());
    ++held(node);
    ++by_cluster_[node.spec().cluster()];
  }
  void add_candidate(const NodePtr& node) { candidates_[node->spec().cluster()].push_back(node); }

  void plan(CountedPlan& out) {
    out.wanted += wanted_;
    for (auto& [cluster, nodes] : candidates_) sort(nodes);
    for (int surplus = size() - wanted_; surplus > 0; --surplus) out.remove.push_back(take_one());
    while (size() < wanted_) {
      std::optional<std::string> node = choose();
      if (!node) break;
      out.add.push_back(std::move(*node));
    }
    out.placed += size();
  }

 private:
  int size() const { return static_cast<int>(instances_.size()); }

  // How many instances the part of the spread that the node belongs to has.
  int& held(const pb::Node& node) {
    switch (service_.spec().placement().spread()) {
      case pb::SPREAD_NODES:
        return by_part_[node.metadata().name()];
      case pb::SPREAD_CLUSTERS:
        return by_part_[node.spec().cluster()];
      default: {
        const auto* cluster = snapshot_.find<pb::Cluster>(node.spec().cluster());
        return by_part_[cluster == nullptr ? "" : cluster->spec().region()];
      }
    }
  }

  // Best first; the best is taken from the back.
  void sort(std::vector<NodePtr>& nodes) const {
    std::vector<std::tuple<size_t, std::string, NodePtr>> keyed;
    for (NodePtr& node : nodes) {
      const std::string& name = node->metadata().name();
      keyed.emplace_back(snapshot_.find_by<pb::Instance>("node", name).size(),
                         rank(service_.metadata().name(), name), std::move(node));
    }
    std::sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) {
      return std::tie(std::get<0>(a), std::get<1>(a)) > std::tie(std::get<0>(b), std::get<1>(b));
    });
    std::transform(keyed.begin(), keyed.end(), nodes.begin(),
                   [](auto& key) { return std::move(std::get<2>(key)); });
  }

  // The best node that has room: of the part and then the cluster with the fewest instances.
  std::optional<std::string> choose() {
    while (true) {
      std::vector<NodePtr>* best = nullptr;
      std::tuple<int, int, std::string> best_key;
      for (auto& [cluster, nodes] : candidates_) {
        if (nodes.empty()) continue;
        const pb::Node& node = *nodes.back();
        std::tuple<int, int, std::string> key{held(node), by_cluster_[cluster],
                                              rank(service_.metadata().name(), cluster)};
        if (best != nullptr && key >= best_key) continue;
        best = &nodes;
        best_key = std::move(key);
      }
      if (best == nullptr) return std::nullopt;
      const NodePtr node = best->back();
      best->pop_back();
      if (room_obstacle(snapshot_, service_, *node)) continue;
      add_instance(*node);
      return node->metadata().name();
    }
  }

  // Of the part and then the cluster with the most instances.
  std::string take_one() {
    const auto key = [&](const std::string& name) {
      const auto* node = snapshot_.find<pb::Node>(name);
      return std::tuple(held(*node), by_cluster_[node->spec().cluster()],
                        rank(service_.metadata().name(), name));
    };
    const auto at = std::max_element(
        instances_.begin(), instances_.end(),
        [&](const std::string& a, const std::string& b) { return key(a) < key(b); });
    const std::string name = *at;
    const auto* node = snapshot_.find<pb::Node>(name);
    instances_.erase(at);
    --held(*node);
    --by_cluster_[node->spec().cluster()];
    return name;
  }

  const Snapshot& snapshot_;
  const pb::Service& service_;
  const int wanted_;
  std::vector<std::string> instances_;
  std::map<std::string, int> by_part_;
  std::map<std::string, int> by_cluster_;
  std::map<std::string, std::vector<NodePtr>> candidates_;  // by cluster
};

// The groups that a count is for: every cluster that has a node for it, or all of them together.
class Groups {
 public:
  Groups(const Snapshot& snapshot, const pb::Service& service)
      : snapshot_(snapshot), service_(service) {
    const pb::Placement& placement = service.spec().placement();
    per_cluster_ = placement.count() == 0;
    wanted_ = per_cluster_ ? placement.count_per_cluster() : placement.count();
    if (!per_cluster_) groups_.try_emplace("", snapshot_, service_, wanted_);
  }
  Group& of(const pb::Node& node) {
    return groups_
        .try_emplace(per_cluster_ ? node.spec().cluster() : "", snapshot_, service_, wanted_)
        .first->second;
  }
  CountedPlan plan() {
    CountedPlan out;
    for (auto& [name, group] : groups_) group.plan(out);
    return out;
  }

 private:
  const Snapshot& snapshot_;
  const pb::Service& service_;
  bool per_cluster_ = false;
  int wanted_ = 0;
  std::map<std::string, Group> groups_;
};

}  // namespace

CountedPlan plan_counted(const Snapshot& snapshot, const pb::Service& service) {
  Groups groups(snapshot, service);
  std::set<std::string> has;
  for (const auto& instance :
       snapshot.find_by<pb::Instance>("service", service.metadata().name())) {
    const auto* node = snapshot.find<pb::Node>(instance->spec().node());
    if (node == nullptr) continue;
    has.insert(instance->spec().node());
    groups.of(*node).add_instance(*node);
  }
  for (const auto& node : snapshot.list<pb::Node>())
    if (!has.contains(node->metadata().name()) && !selector_obstacle(snapshot, service, *node))
      groups.of(*node).add_candidate(node);
  return groups.plan();
}

std::string why_not_more(const Snapshot& snapshot, const pb::Service& service) {
  std::array<int, kConstraints> excluded{};
  std::optional<Obstacle> closest;
  std::string closest_node;
  for (const auto& node : snapshot.list<pb::Node>()) {
    const std::string& name = node->metadata().name();
    const std::string instance = fmt::format("{}.{}", service.metadata().name(), name);
    if (snapshot.find<pb::Instance>(instance) != nullptr) continue;
    auto obstacle = selector_obstacle(snapshot, service, *node);
    const bool eligible = !obstacle;
    if (eligible) obstacle = room_obstacle(snapshot, service, *node);
    if (!obstacle) continue;
    ++excluded[static_cast<size_t>(obstacle->constraint)];
    if (!eligible || (closest && closest->lack <= obstacle->lack)) continue;
    closest = std::move(obstacle);
    closest_node = name;
  }
  std::string out;
  for (size_t i = excluded.size(); i-- > 0;) {
    if (excluded[i] == 0) continue;
    const auto constraint = static_cast<Constraint>(i);
    out += fmt::format("{}{} {} excluded by {}", out.empty() ? "" : ", ", excluded[i],
                       excluded[i] == 1 ? "node" : "nodes", constraint_name(constraint));
    if (closest && closest->constraint == constraint)
      out += fmt::format(" (closest: {} {})", closest_node, closest->message);
  }
  return out;
}

}  // namespace frameworks
