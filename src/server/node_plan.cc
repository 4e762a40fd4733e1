#include "server/node_plan.h"

#include <google/protobuf/util/message_differencer.h>

#include <array>
#include <map>
#include <optional>

#include "config/mesh/mesh_plan.h"
#include "machine/network_security/firewall_plan.h"
#include "runtime/health/checks_plan.h"
#include "runtime/orchestration/drain_step.h"
#include "runtime/tenants/tenancy_plan.h"

namespace frameworks {
namespace {

using google::protobuf::util::MessageDifferencer;

// As PlanUpdate has them.
enum Section : size_t { kMesh, kFirewall, kNames, kChecks, kTenancy };
constexpr std::array kSections = {"mesh", "firewall", "names", "checks", "tenancy"};
static_assert(kSections.size() <= SectionSet().size());

// Of nodes with very many peers, changes are told.
class MeshPart final : public PlanSection {
 public:
  explicit MeshPart(PlannedMesh mesh) : PlanSection(mesh_hash(mesh)), mesh_(std::move(mesh)) {}
  void put(pb::PlanUpdate& update) const override { *update.mutable_mesh() = whole_section(mesh_); }
  [[nodiscard]] bool is_base() const override { return mesh_.peers.size() >= kManyPeers; }
  bool put_changes(const PlanSection& base, pb::PlanUpdate& update) const override {
    const auto& before = dynamic_cast<const MeshPart&>(base);
    auto changes = mesh_changes(before.mesh_, before.hash(), mesh_);
    if (changes) *update.mutable_mesh() = *std::move(changes);
    return changes.has_value();
  }

 private:
  // Below that a section is a few messages of the network's, and keeping it costs more.
  static constexpr size_t kManyPeers = 256;
  const PlannedMesh mesh_;
};

template <typename T>
bool same_spec(const T& a, const T& b) {
  return a.metadata().has_delete_time() == b.metadata().has_delete_time() &&
         MessageDifferencer::Equals(a.spec(), b.spec());
}

// No plan tells of the health of nodes and instances, nor of what machines do: the most frequent
// changes of a fleet.
bool same_for_plans(const Change& change) {
  if (!change.before || !change.after) return false;
  if (change.key.kind == "Instance")
    return same_spec(change.before.as<pb::Instance>(), change.after.as<pb::Instance>());
  if (change.key.kind != "Node") return false;
  const auto& a = change.before.as<pb::Node>();
  const auto& b = change.after.as<pb::Node>();
  return same_spec(a, b) &&
         a.status().agent().wireguard_public_key() == b.status().agent().wireguard_public_key() &&
         a.status().agent().has_join_time() == b.status().agent().has_join_time() &&
         a.status().drain().state() == b.status().drain().state();
}

class SharedPlanner final : public PlanSource::Planner {
 public:
  SharedPlanner(const Snapshot& snapshot, KnownPeers& peers)
      : snapshot_(snapshot), ready_(snapshot), mesh_(ready_, peers) {
    peers.limit(snapshot.count(kind_of<pb::Node>()));
  }

  using Planner::plan;
  NodePlan plan(const pb::Node& node, SectionSet sections) override {
    NodePlan out{snapshot_.revision()};
    for (size_t i = 0; i < kSections.size(); ++i)
      if (sections.test(i)) out.sections[kSections[i]] = section(static_cast<Section>(i), node);
    return out;
  }

 private:
  PlanSectionPtr section(Section which, const pb::Node& node) {
    switch (which) {
      case kMesh:
        return std::make_shared<const MeshPart>(mesh_.plan(node));
      case kFirewall:
        return section_of(plan_firewall(snapshot_, node), &pb::PlanUpdate::mutable_firewall);
      case kNames:
        return section_of(plan_names(snapshot_, planned(), node), &pb::PlanUpdate::mutable_names);
      case kChecks:
        return section_of(plan_checks(snapshot_, node), &pb::PlanUpdate::mutable_checks);
      case kTenancy:
        return tenancy(node);
    }
    return nullptr;
  }

  // Only names need it.
  const MeshTopology& planned() {
    if (!planned_) planned_.emplace(snapshot_, MeshTopology::Nodes::kPlanned);
    return *planned_;
  }

  // The same for every node of a cluster that serves tenants, and has not given them up.
  PlanSectionPtr tenancy(const pb::Node& node) {
    const bool has_none = !serves_tenants(snapshot_, node) || gives_up_sessions(node);
    PlanSectionPtr& kept = has_none ? no_tenancy_ : tenancies_[node.spec().cluster()];
    if (kept == nullptr)
      kept = section_of(plan_tenancy(snapshot_, node), &pb::PlanUpdate::mutable_tenancy);
    return kept;
  }

  const Snapshot& snapshot_;
  const MeshTopology ready_;
  std::optional<MeshTopology> planned_;
  MeshPlanner mesh_;
  std::map<std::string, PlanSectionPtr> tenancies_;
  PlanSectionPtr no_tenancy_;
};

}  // namespace

std::vector<std::string> NodePlans::sections() const {
  return {kSections.begin(), kSections.end()};
}

std::unique_ptr<PlanSource::Planner> NodePlans::planner(const Snapshot& snapshot) const {
  return std::make_unique<SharedPlanner>(snapshot, peers_);
}

Affected NodePlans::affected(const Snapshot& after, std::span<const Change> changes) const {
  Affected out;
  const auto add = [&](Section section, const auto& nodes) {
    for (const std::string& node : nodes) out[node].set(section);
  };
  for (const Change& change : changes) {
    if (same_for_plans(change)) continue;
    const Resource& before = change.before;
    const Resource& now = change.after;
    if (change.key.kind == "Node") out[change.key.name].set();
    add(kMesh, mesh_affected(after, before, now));
    add(kNames, names_affected(after, before, now));
    add(kFirewall, firewall_affected(after, before, now));
    add(kTenancy, tenancy_affected(after, before, now));
    add(kChecks, checks_affected(after, before, now));
    add(kChecks, outside_affected(after, before, now));
  }
  return out;
}

}  // namespace frameworks
