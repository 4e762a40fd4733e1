// What must hold in every fleet: paths are there, symmetric and free of loops, and plans do not
// depend on the order in which the fleet was written.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>

#include "base/ip.h"
#include "config/mesh/fleet_builder.h"
#include "config/mesh/mesh_plan.h"

namespace frameworks {
namespace {

enum class Central { kSometimes, kAlways };

FleetBuilder random_fleet(Central central) {
  FleetBuilder fleet;
  if (central == Central::kAlways) fleet.cluster("core", pb::TIER_CENTRAL, "r0").node(1);
  const int clusters = *rc::gen::inRange(1, 9);
  for (int i = 0; i < clusters; ++i) {
    const auto tier = *rc::gen::element(pb::TIER_CENTRAL, pb::TIER_REGIONAL, pb::TIER_REGIONAL,
                                        pb::TIER_EDGE, pb::TIER_EDGE, pb::TIER_EDGE);
    fleet.cluster(fmt::format("c{}", i), tier, fmt::format("r{}", *rc::gen::inRange(0, 3)));
    const int nodes = *rc::gen::inRange(0, 4);
    for (int n = 1; n <= nodes; ++n)
      fleet.node(n, *rc::gen::weightedElement<Joined>({{4, Joined::kYes}, {1, Joined::kNo}}));
  }
  return fleet;
}

// The mesh as WireGuard runs it.
class Network {
 public:
  explicit Network(const Snapshot& snapshot) {
    const MeshTopology topology(snapshot);
    for (const auto& node : snapshot.list<pb::Node>())
      if (is_mesh_ready(*node)) sections_[node->metadata().name()] = plan_mesh(topology, *node);
  }

  // The peer that carries the address, by the longest prefix; empty: none.
  [[nodiscard]] std::string peer_for(const std::string& node, const IpAddress& address) const {
    std::string best;
    int longest = -1;
    for (const auto& peer : sections_.at(node).peers()) {
      for (const auto& text : peer.allowed_ips()) {
        const Cidr cidr = *Cidr::parse(text);
        if (cidr.address().is_v4() != address.is_v4() || !cidr.contains(address)) continue;
        RC_ASSERT(cidr.prefix() != longest);  // a prefix belongs to one peer
        if (cidr.prefix() > longest) {
          longest = cidr.prefix();
          best = peer.node();
        }
      }
    }
    return best;
  }

  // The nodes that a packet passes, both ends included; empty when it is dropped on its way.
  [[nodiscard]] std::vector<std::string> path(const std::string& from, const std::string& to,
                                              bool v4) const {
    const IpAddress source = address(from, v4), target = address(to, v4);
    std::vector<std::string> out{from};
    while (out.back() != to) {
      if (out.size() > 4) return {};
      if (out.size() > 1 && !sections_.at(out.back()).forward()) return {};
      const std::string next = peer_for(out.back(), target);
      // The receiver drops what it would not answer the same way.
      if (next.empty() || peer_for(next, source) != out.back()) return {};
      out.push_back(next);
    }
    return out;
  }

  [[nodiscard]] std::vector<std::string> nodes() const {
    std::vector<std::string> out;
    for (const auto& [name, section] : sections_) out.push_back(name);
    return out;
  }

 private:
  [[nodiscard]] IpAddress address(const std::string& node, bool v4) const {
    return Cidr::parse(sections_.at(node).addresses(v4 ? 0 : 1))->address();
  }
  std::map<std::string, pb::MeshSection> sections_;
};

RC_GTEST_PROP(MeshProperty, EveryPairOfNodesHasASymmetricPathWithoutLoops, ()) {
  const Network network(random_fleet(Central::kAlways).snapshot());
  for (const auto& a : network.nodes()) {
    for (const auto& b : network.nodes()) {
      if (a == b) continue;
      for (const bool v4 : {true, false}) {
        auto there = network.path(a, b, v4);
        RC_LOG() << a << " to " << b << std::endl;
        RC_ASSERT(!there.empty());
        RC_ASSERT(there.size() <= 4u);
        std::reverse(there.begin(), there.end());
        RC_ASSERT(there == network.path(b, a, v4));
      }
    }
  }
}

RC_GTEST_PROP(MeshProperty, WithoutCentralNodesEveryPathThatIsThereIsSymmetric, ()) {
  const Network network(random_fleet(Central::kSometimes).snapshot());
  for (const auto& a : network.nodes())
    for (const auto& b : network.nodes()) {
      auto there = network.path(a, b, true);
      std::reverse(there.begin(), there.end());
      RC_ASSERT(there == network.path(b, a, true));
    }
}

RC_GTEST_PROP(MeshProperty, PeeringIsMutual, ()) {
  const Snapshot snapshot = random_fleet(Central::kSometimes).snapshot();
  for (const auto& node : snapshot.list<pb::Node>()) {
    const auto section = plan_mesh(snapshot, *node);
    for (const auto& peer : section.peers()) {
      const auto back = plan_mesh(snapshot, *snapshot.find<pb::Node>(peer.node()));
      RC_ASSERT(std::any_of(back.peers().begin(), back.peers().end(),
                            [&](const auto& p) { return p.node() == node->metadata().name(); }));
    }
  }
}

RC_GTEST_PROP(MeshProperty, PlansDoNotDependOnTheOrderOfWriting, ()) {
  const FleetBuilder fleet = random_fleet(Central::kSometimes);
  auto shuffled = fleet.resources();
  for (size_t i = shuffled.size(); i > 1; --i)
    std::swap(shuffled[i - 1], shuffled[*rc::gen::inRange<size_t>(0, i)]);
  Snapshot other;
  for (const Resource& resource : shuffled) other.put(resource);
  const Snapshot snapshot = fleet.snapshot();
  for (const auto& node : snapshot.list<pb::Node>()) {
    RC_ASSERT(plan_mesh(snapshot, *node).SerializeAsString() ==
              plan_mesh(other, *node).SerializeAsString());
    RC_ASSERT(plan_names(snapshot, *node).SerializeAsString() ==
              plan_names(other, *node).SerializeAsString());
  }
}

RC_GTEST_PROP(MeshProperty, AffectedNodesIncludeAllWhosePlanChanges, ()) {
  const FleetBuilder fleet = random_fleet(Central::kSometimes);
  const Snapshot before = fleet.snapshot();
  const Resource victim = *rc::gen::elementOf(fleet.resources());
  Snapshot after = before;
  after.remove(victim.key());
  const auto mesh = mesh_affected(after, victim, {});
  const auto names = names_affected(after, victim, {});
  for (const auto& node : after.list<pb::Node>()) {
    const std::string& name = node->metadata().name();
    if (plan_mesh(before, *node).SerializeAsString() != plan_mesh(after, *node).SerializeAsString())
      RC_ASSERT(mesh.contains(name));
    if (plan_names(before, *node).SerializeAsString() !=
        plan_names(after, *node).SerializeAsString())
      RC_ASSERT(names.contains(name));
  }
}

}  // namespace
}  // namespace frameworks
