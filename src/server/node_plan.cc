#include "server/node_plan.h"

#include "base/text.h"
#include "config/mesh/mesh_plan.h"
#include "machine/network_security/firewall_plan.h"
#include "runtime/health/checks_plan.h"
#include "runtime/tenants/tenancy_plan.h"

namespace frameworks {
namespace {

using google::protobuf::FieldDescriptor;

bool is_section(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated();
}

// Sections hold no maps, so that equal sections have equal bytes.
std::string hash_of(const Message& section) {
  return sha256_hex(section.SerializeAsString()).substr(0, 16);
}

}  // namespace

std::vector<std::string> NodePlans::sections() const {
  std::vector<std::string> out;
  const auto* descriptor = pb::PlanUpdate::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i)
    if (is_section(*descriptor->field(i))) out.push_back(descriptor->field(i)->name());
  return out;
}

pb::PlanUpdate NodePlans::plan(const Snapshot& snapshot, const pb::Node& node) const {
  pb::PlanUpdate plan;
  plan.set_revision(snapshot.revision());
  *plan.mutable_mesh() = plan_mesh(snapshot, node);
  *plan.mutable_firewall() = plan_firewall(snapshot, node);
  *plan.mutable_names() = plan_names(snapshot, node);
  *plan.mutable_checks() = plan_checks(snapshot, node);
  *plan.mutable_tenancy() = plan_tenancy(snapshot, node);
  const auto* reflection = plan.GetReflection();
  for (const std::string& section : sections()) {
    const auto* field = pb::PlanUpdate::descriptor()->FindFieldByName(section);
    (*plan.mutable_section_hashes())[section] = hash_of(reflection->GetMessage(plan, field));
  }
  return plan;
}

std::set<std::string> NodePlans::affected(const Snapshot& after,
                                          std::span<const Change> changes) const {
  std::set<std::string> out;
  for (const Change& change : changes) {
    if (change.key.kind == "Node") out.insert(change.key.name);
    out.merge(mesh_affected(after, change.before, change.after));
    out.merge(firewall_affected(after, change.before, change.after));
    out.merge(tenancy_affected(after, change.before, change.after));
    for (std::string& node : checks_affected(after, change.before, change.after))
      out.insert(std::move(node));
  }
  return out;
}

}  // namespace frameworks
