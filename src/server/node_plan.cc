#include "server/node_plan.h"

#include <google/protobuf/util/message_differencer.h>

#include <map>

#include "base/text.h"
#include "config/mesh/mesh_plan.h"
#include "machine/network_security/firewall_plan.h"
#include "runtime/health/checks_plan.h"
#include "runtime/orchestration/drain_step.h"
#include "runtime/tenants/tenancy_plan.h"

namespace frameworks {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::util::MessageDifferencer;

bool is_section(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated();
}

// Sections hold no maps, so that equal sections have equal bytes.
std::string hash_of(const Message& section) {
  return sha256_hex(section.SerializeAsString()).substr(0, 16);
}

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
  SharedPlanner(const PlanSource& source, const Snapshot& snapshot)
      : snapshot_(snapshot),
        ready_(snapshot),
        planned_(snapshot, MeshTopology::Nodes::kPlanned) {
    for (const std::string& section : source.sections())
      sections_.emplace_back(section, pb::PlanUpdate::descriptor()->FindFieldByName(section));
  }

  pb::PlanUpdate plan(const pb::Node& node) override {
    pb::PlanUpdate plan;
    plan.set_revision(snapshot_.revision());
    *plan.mutable_mesh() = plan_mesh(ready_, node);
    *plan.mutable_firewall() = plan_firewall(snapshot_, node);
    *plan.mutable_names() = plan_names(snapshot_, planned_, node);
    *plan.mutable_checks() = plan_checks(snapshot_, node);
    *plan.mutable_tenancy() = tenancy(node);
    for (const auto& [section, field] : sections_)
      (*plan.mutable_section_hashes())[section] =
          hash_of(plan.GetReflection()->GetMessage(plan, field));
    return plan;
  }

 private:
  // The same for every node of a cluster that serves tenants, and has not given them up.
  pb::TenancySection tenancy(const pb::Node& node) {
    if (!serves_tenants(snapshot_, node) || gives_up_sessions(node))
      return plan_tenancy(snapshot_, node);
    const auto [at, first] = tenancies_.try_emplace(node.spec().cluster());
    if (first) at->second = plan_tenancy(snapshot_, node);
    return at->second;
  }

  const Snapshot& snapshot_;
  const MeshTopology ready_;
  const MeshTopology planned_;
  std::vector<std::pair<std::string, const FieldDescriptor*>> sections_;
  std::map<std::string, pb::TenancySection> tenancies_;
};

}  // namespace

std::vector<std::string> NodePlans::sections() const {
  std::vector<std::string> out;
  const auto* descriptor = pb::PlanUpdate::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i)
    if (is_section(*descriptor->field(i))) out.push_back(descriptor->field(i)->name());
  return out;
}

std::unique_ptr<PlanSource::Planner> NodePlans::planner(const Snapshot& snapshot) const {
  return std::make_unique<SharedPlanner>(*this, snapshot);
}

std::set<std::string> NodePlans::affected(const Snapshot& after,
                                          std::span<const Change> changes) const {
  std::set<std::string> out;
  for (const Change& change : changes) {
    if (same_for_plans(change)) continue;
    if (change.key.kind == "Node") out.insert(change.key.name);
    out.merge(mesh_affected(after, change.before, change.after));
    out.merge(firewall_affected(after, change.before, change.after));
    out.merge(tenancy_affected(after, change.before, change.after));
    for (std::string& node : checks_affected(after, change.before, change.after))
      out.insert(std::move(node));
    for (std::string& node : outside_affected(after, change.before, change.after))
      out.insert(std::move(node));
  }
  return out;
}

}  // namespace frameworks
