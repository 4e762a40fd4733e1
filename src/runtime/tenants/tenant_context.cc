#include "runtime/tenants/tenant_context.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
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

// The tenant's, with those that the grant has of its own.
pb::Limits merged_limits(const pb::Limits& tenant, const pb::Limits& grant) {
  pb::Limits out = tenant;
  out.MergeFrom(grant);  // fields without a value stay the tenant's
  return out;
}

void add_cluster(const pb::Grant& grant, const pb::Cluster& cluster, pb::TenantContext& context) {
  pb::EntitledCluster& entitled = *context.add_clusters();
  entitled.set_cluster(cluster.metadata().name());
  entitled.set_tier(cluster.spec().tier());
  entitled.set_region(cluster.spec().region());
  entitled.set_level(grant.spec().level() == pb::GRANT_LEVEL_UNSPECIFIED ? pb::GRANT_LEVEL_USE
                                                                         : grant.spec().level());
  *entitled.mutable_limits() = merged_limits(context.limits(), grant.spec().limits());
  *entitled.mutable_features() = grant.spec().features();
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

bool is_verified(const pb::Tenant& tenant, const std::string& domain) {
  const auto& wanted = tenant.spec().domains();
  if (std::find(wanted.begin(), wanted.end(), domain) == wanted.end()) return false;
  const auto& all = tenant.status().domains();
  return std::any_of(all.begin(), all.end(), [&](const pb::DomainStatus& status) {
    return status.domain() == domain && status.state() == pb::DOMAIN_STATE_VERIFIED;
  });
}

const pb::Tenant* first_by(const Snapshot& snapshot, const char* index, const std::string& value) {
  const auto found = snapshot.find_by<pb::Tenant>(index, value);
  // The snapshot keeps it.
  return found.empty() ? nullptr : snapshot.find<pb::Tenant>(found.front()->metadata().name());
}

// Behind whom the next page begins, bound to the cluster.
Result<std::string> tenant_of_token(const pb::ListClusterTenantsRequest& request) {
  if (request.page_token().empty()) return std::string();
  const auto text = base64_decode(request.page_token());
  const std::string mine = request.cluster() + '/';
  if (!text || !text->starts_with(mine))
    return Error::invalid({{{}, 0, "", "pageToken", "is not of this list: begin without one"}});
  return text->substr(mine.size());
}

}  // namespace

Result<const pb::Tenant*> find_tenant(const Snapshot& snapshot, const pb::TenantKey& key) {
  const int given = !key.tenant().empty() + !key.uid().empty() + !key.subdomain().empty() +
                    !key.domain().empty() + !key.api_key().empty();
  if (given != 1)
    return Error::invalid(
        {{{}, 0, "", "key", fmt::format("has {} names of a tenant: give exactly one", given)}});
  if (!key.api_key().empty())
    return Error(Code::kUnimplemented, "contexts are not found by API key yet: use another name");
  if (!key.tenant().empty()) return snapshot.find<pb::Tenant>(key.tenant());
  if (!key.uid().empty()) return first_by(snapshot, "uid", key.uid());
  if (!key.subdomain().empty()) return first_by(snapshot, "subdomain", key.subdomain());
  const pb::Tenant* tenant = first_by(snapshot, "domain", key.domain());
  return tenant != nullptr && is_verified(*tenant, key.domain()) ? tenant : nullptr;
}

Result<pb::ListClusterTenantsResponse> cluster_tenants(
    const Snapshot& snapshot, const pb::ListClusterTenantsRequest& request) {
  constexpr int kMaxPage = 1000;
  if (snapshot.find<pb::Cluster>(request.cluster()) == nullptr)
    return Error(Code::kNotFound, fmt::format("cluster \"{}\" does not exist", request.cluster()));
  ASSIGN_OR_RETURN(const std::string after, tenant_of_token(request));
  const int limit = request.page_size() == 0 ? kMaxPage : request.page_size();
  pb::ListClusterTenantsResponse out;
  out.set_revision(snapshot.revision());
  std::string last = after;
  for (const auto& grant : snapshot.find_by<pb::Grant>("cluster", request.cluster())) {
    const std::string& name = grant->metadata().tenant();
    const auto* tenant = snapshot.find<pb::Tenant>(name);
    if (name <= last || tenant == nullptr || !is_valid(snapshot, *grant)) continue;
    if (out.tenants_size() == limit) {
      out.set_next_page_token(base64_encode(request.cluster() + '/' + last));
      break;
    }
    last = name;
    pb::ClusterTenant& entry = *out.add_tenants();
    entry.set_tenant(name);
    entry.set_state(tenant_state(*tenant));
    entry.set_level(grant->spec().level());
  }
  return out;
}

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
  context.set_subdomain(tenant->spec().subdomain());
  for (const std::string& domain : tenant->spec().domains())
    if (is_verified(*tenant, domain)) context.add_domains(domain);
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
