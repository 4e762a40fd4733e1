#include "runtime/tenants/tenancy_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/orchestration/drain_step.h"
#include "runtime/tenants/entitlement.h"

namespace frameworks {
namespace {

void add_cluster_nodes(const Snapshot& snapshot, const std::string& cluster,
                       std::set<std::string>& nodes) {
  for (const auto& node : snapshot.find_by<pb::Node>("cluster", cluster))
    nodes.insert(node->metadata().name());
}

void add_nodes(const Snapshot& snapshot, const Resource& resource, std::set<std::string>& nodes) {
  if (!resource) return;
  const std::string& kind = resource.kind().name;
  if (kind == "Node") nodes.insert(resource.name());
  if (kind == "Instance") nodes.insert(resource.as<pb::Instance>().spec().node());
  if (kind == "Grant")
    add_cluster_nodes(snapshot, resource.as<pb::Grant>().spec().cluster(), nodes);
  if (kind == "Tenant")
    for (const auto& grant : snapshot.find_by<pb::Grant>("tenant", resource.name()))
      add_cluster_nodes(snapshot, grant->spec().cluster(), nodes);
  if (kind == "Service")
    for (const auto& instance : snapshot.find_by<pb::Instance>("service", resource.name()))
      nodes.insert(instance->spec().node());
}

struct Entitlement {
  bool suspended = false;
  std::set<std::string> clusters;
};

Entitlement entitlement(const Snapshot& snapshot, const std::string& name) {
  Entitlement out;
  if (const auto* tenant = snapshot.find<pb::Tenant>(name))
    out.suspended = tenant_state(*tenant) != pb::TENANT_STATE_ACTIVE;
  for (const auto& grant : snapshot.find_by<pb::Grant>("tenant", name))
    if (is_valid(snapshot, *grant)) out.clusters.insert(grant->spec().cluster());
  return out;
}

std::set<std::string> missing(const std::set<std::string>& from, const std::set<std::string>& in) {
  std::set<std::string> out;
  std::set_difference(from.begin(), from.end(), in.begin(), in.end(),
                      std::inserter(out, out.end()));
  return out;
}

pb::PlanStep step(const std::string& action, const std::string& tenant, std::string summary) {
  pb::PlanStep out;
  out.set_layer("runtime");
  out.set_action(action);
  out.set_object("Tenant/" + tenant);
  out.set_summary(std::move(summary));
  return out;
}

}  // namespace

bool serves_tenants(const Snapshot& snapshot, const pb::Node& node) {
  const auto instances = snapshot.find_by<pb::Instance>("node", node.metadata().name());
  return std::any_of(instances.begin(), instances.end(), [&](const auto& instance) {
    const auto* service = snapshot.find<pb::Service>(instance->spec().service());
    return service != nullptr && service->spec().tenant_facing();
  });
}

pb::TenancySection plan_tenancy(const Snapshot& snapshot, const pb::Node& node) {
  pb::TenancySection section;
  if (!serves_tenants(snapshot, node) || gives_up_sessions(node)) return section;
  std::map<std::string, pb::TenancySection::TenantEntry> entries;
  for (const auto& grant : snapshot.find_by<pb::Grant>("cluster", node.spec().cluster())) {
    const auto* tenant = snapshot.find<pb::Tenant>(grant->metadata().tenant());
    if (tenant == nullptr || !is_valid(snapshot, *grant)) continue;
    pb::TenancySection::TenantEntry& entry = entries[tenant->metadata().name()];
    entry.set_suspended(tenant_state(*tenant) != pb::TENANT_STATE_ACTIVE);
    if (grant->spec().has_expire_time()) *entry.mutable_expire_time() = grant->spec().expire_time();
    pb::Limits limits = merged_limits(tenant->spec().limits(), grant->spec().limits());
    if (limits.ByteSizeLong() > 0) *entry.mutable_limits() = std::move(limits);
  }
  for (auto& [tenant, entry] : entries) {
    entry.set_tenant(tenant);
    *section.add_tenants() = std::move(entry);
  }
  return section;
}

std::set<std::string> tenancy_affected(const Snapshot& snapshot, const Resource& before,
                                       const Resource& after) {
  std::set<std::string> nodes;
  add_nodes(snapshot, before, nodes);
  add_nodes(snapshot, after, nodes);
  return nodes;
}

std::vector<pb::PlanStep> explain_tenants(const Snapshot& before, const Snapshot& after) {
  std::set<std::string> tenants;
  for (const Snapshot* snapshot : {&before, &after}) {
    for (const auto& tenant : snapshot->list<pb::Tenant>())
      tenants.insert(tenant->metadata().name());
    for (const auto& grant : snapshot->list<pb::Grant>())
      tenants.insert(grant->metadata().tenant());
  }
  return explain_tenants(before, after, tenants);
}

std::vector<pb::PlanStep> explain_tenants(const Snapshot& before, const Snapshot& after,
                                          const std::set<std::string>& tenants) {
  std::vector<pb::PlanStep> steps;
  for (const std::string& tenant : tenants) {
    const Entitlement was = entitlement(before, tenant);
    const Entitlement now = entitlement(after, tenant);
    for (const std::string& cluster : missing(now.clusters, was.clusters))
      steps.push_back(step("entitle", tenant, fmt::format("{} may use {}", tenant, cluster)));
    for (const std::string& cluster : missing(was.clusters, now.clusters))
      steps.push_back(
          step("withdraw", tenant, fmt::format("{} may no longer use {}", tenant, cluster)));
    if (now.suspended && !was.suspended)
      steps.push_back(
          step("suspend", tenant, fmt::format("{} is refused by media servers", tenant)));
    if (!now.suspended && was.suspended && after.find<pb::Tenant>(tenant) != nullptr)
      steps.push_back(step("resume", tenant, fmt::format("{} is served again", tenant)));
  }
  return steps;
}

}  // namespace frameworks
