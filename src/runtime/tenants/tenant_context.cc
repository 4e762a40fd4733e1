#include "runtime/tenants/tenant_context.h"

#include <fmt/format.h>

#include <algorithm>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/tenants/entitlement.h"

namespace frameworks {
namespace {

std::string replaced(std::string text, std::string_view what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

// Public ports are reached at the machine's own address, others inside the mesh.
std::string endpoint_url(const pb::Port& port, const pb::Node& node) {
  std::string address =
      port.exposure() == pb::EXPOSURE_PUBLIC ? node.spec().address() : node.spec().mesh_address();
  if (address.find(':') != std::string::npos) address = '[' + address + ']';
  return replaced(replaced(port.url(), "{address}", address), "{port}",
                  std::to_string(port.port()));
}

void add_cluster(const pb::Grant& grant, const pb::Cluster& cluster, pb::TenantContext& context) {
  pb::EntitledCluster& entitled = *context.add_clusters();
  entitled.set_cluster(cluster.metadata().name());
  entitled.set_tier(cluster.spec().tier());
  entitled.set_region(cluster.spec().region());
  entitled.set_level(grant.spec().level() == pb::GRANT_LEVEL_UNSPECIFIED ? pb::GRANT_LEVEL_USE
                                                                         : grant.spec().level());
  if (grant.spec().has_limits()) *entitled.mutable_limits() = grant.spec().limits();
}

void add_endpoints(const Snapshot& snapshot, const pb::Cluster& cluster, const pb::Node& node,
                   pb::TenantContext& context) {
  const pb::Health node_state = node.status().health().state();
  if (!keeps_its_place(node_state)) return;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name())) {
    if (!keeps_its_place(instance->status().state())) continue;
    const auto* service = snapshot.find<pb::Service>(instance->spec().service());
    if (service == nullptr || !service->spec().tenant_facing()) continue;
    for (const pb::Port& port : service->spec().ports()) {
      if (port.url().empty()) continue;
      pb::Endpoint& endpoint = *context.add_endpoints();
      endpoint.set_service(service->metadata().name());
      endpoint.set_port(port.name());
      endpoint.set_cluster(cluster.metadata().name());
      endpoint.set_region(cluster.spec().region());
      endpoint.set_node(node.metadata().name());
      endpoint.set_url(endpoint_url(port, node));
      endpoint.set_state(std::max(node_state, instance->status().state()));
    }
  }
}

}  // namespace

Result<pb::TenantContext> tenant_context(const Snapshot& snapshot, std::string_view name) {
  const auto* tenant = snapshot.find<pb::Tenant>(name);
  if (tenant == nullptr)
    return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", name));
  pb::TenantContext context;
  context.set_tenant(tenant->metadata().name());
  context.set_uid(tenant->metadata().uid());
  context.set_state(tenant_state(*tenant));
  context.set_plan(tenant->spec().plan().empty() ? "default" : tenant->spec().plan());
  *context.mutable_features() = tenant->spec().features();
  *context.mutable_limits() = tenant->spec().limits();
  context.set_revision(snapshot.revision());

  for (const auto& grant : snapshot.find_by<pb::Grant>("tenant", name)) {
    const auto* cluster = snapshot.find<pb::Cluster>(grant->spec().cluster());
    if (cluster == nullptr || !is_valid(snapshot, *grant)) continue;
    const bool known =
        std::any_of(context.clusters().begin(), context.clusters().end(),
                    [&](const auto& other) { return other.cluster() == grant->spec().cluster(); });
    if (known) continue;
    add_cluster(*grant, *cluster, context);
    if (context.state() != pb::TENANT_STATE_ACTIVE) continue;
    for (const auto& node : snapshot.find_by<pb::Node>("cluster", cluster->metadata().name()))
      add_endpoints(snapshot, *cluster, *node, context);
  }
  const bool primary_set = !tenant->spec().primary_cluster().empty();
  if (primary_set) context.set_primary_cluster(tenant->spec().primary_cluster());
  if (!primary_set && context.clusters_size() > 0)
    context.set_primary_cluster(context.clusters(0).cluster());
  return context;
}

}  // namespace frameworks
