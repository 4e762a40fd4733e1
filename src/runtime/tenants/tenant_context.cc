#include "runtime/tenants/tenant_context.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/availability.h"
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
  *entitled.mutable_limits() = merged_limits(context.limits(), grant.spec().limits());
  *entitled.mutable_features() = grant.spec().features();
}

void add_endpoints(const pb::Cluster& cluster, const pb::Node& node, const pb::Instance& instance,
                   const pb::Service& service, pb::TenantContext& context) {
  for (const pb::Port& port : service.spec().ports()) {
    if (port.url().empty()) continue;
    pb::Endpoint& endpoint = *context.add_endpoints();
    endpoint.set_service(service.metadata().name());
    endpoint.set_port(port.name());
    endpoint.set_cluster(cluster.metadata().name());
    endpoint.set_region(cluster.spec().region());
    endpoint.set_node(node.metadata().name());
    endpoint.set_url(endpoint_url(port, node));
    endpoint.set_state(std::max(node.status().health().state(), instance.status().state()));
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

void note_expiry(const Snapshot& snapshot, const pb::Grant& grant, OwnContext& out) {
  const std::optional<WallTime> expiry = expiry_of(grant);
  if (!expiry) return;
  if (*expiry > snapshot.time())
    out.until = std::min(out.until.value_or(*expiry), *expiry);
  else
    out.ran_out |= grant.metadata().update_time() < grant.spec().expire_time();
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
  if (!key.tenant().empty()) return snapshot.find<pb::Tenant>(key.tenant());
  if (!key.uid().empty()) return first_by(snapshot, "uid", key.uid());
  if (!key.subdomain().empty()) return first_by(snapshot, "subdomain", key.subdomain());
  if (!key.api_key().empty()) return nullptr;
  // Several may claim a domain; it is verified for one at most.
  for (const auto& tenant : snapshot.find_by<pb::Tenant>("domain", key.domain()))
    if (is_verified(*tenant, key.domain()))
      return snapshot.find<pb::Tenant>(tenant->metadata().name());
  return nullptr;
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
  // No name of a grant sorts behind this.
  std::optional<Snapshot::After> from;
  if (!after.empty()) from = Snapshot::After{after, "\xff"};
  const auto add = [&](const Resource& resource) {
    const auto& grant = resource.as<pb::Grant>();
    const std::string& name = grant.metadata().tenant();
    if (name == last || !is_valid(snapshot, grant)) return true;
    const Resource found = snapshot.peek(kind_of<pb::Tenant>(), {}, name);
    if (!found) return true;
    if (out.tenants_size() == limit) {
      out.set_next_page_token(base64_encode(request.cluster() + '/' + last));
      return false;
    }
    last = name;
    pb::ClusterTenant& entry = *out.add_tenants();
    entry.set_tenant(name);
    entry.set_state(tenant_state(found.as<pb::Tenant>()));
    entry.set_level(grant.spec().level());
    return true;
  };
  snapshot.scan_by(kind_of<pb::Grant>(), "cluster", request.cluster(), add, from);
  return out;
}

std::optional<OwnContext> own_context(const Snapshot& snapshot, std::string_view name) {
  const Resource found = snapshot.peek(kind_of<pb::Tenant>(), {}, name);
  if (!found) return {};
  const auto& tenant = found.as<pb::Tenant>();
  OwnContext out;
  pb::TenantContext& context = out.context;
  context.set_tenant(tenant.metadata().name());
  context.set_uid(tenant.metadata().uid());
  context.set_state(tenant_state(tenant));
  context.set_plan(tenant.spec().plan().empty() ? "default" : tenant.spec().plan());
  *context.mutable_features() = tenant.spec().features();
  *context.mutable_limits() = tenant.spec().limits();
  context.set_subdomain(tenant.spec().subdomain());
  for (const std::string& domain : tenant.spec().domains())
    if (is_verified(tenant, domain)) context.add_domains(domain);
  snapshot.scan_by(kind_of<pb::Grant>(), "tenant", name, [&](const Resource& resource) {
    const auto& grant = resource.as<pb::Grant>();
    out.grants_to.push_back(grant.spec().cluster());
    note_expiry(snapshot, grant, out);
    const auto* cluster = snapshot.find<pb::Cluster>(grant.spec().cluster());
    if (cluster == nullptr || !is_valid(snapshot, grant)) return true;
    const bool known =
        std::any_of(context.clusters().begin(), context.clusters().end(),
                    [&](const auto& other) { return other.cluster() == grant.spec().cluster(); });
    if (known) return true;
    add_cluster(grant, *cluster, context);
    if (context.state() == pb::TENANT_STATE_ACTIVE)
      out.endpoints_of.push_back(cluster->metadata().name());
    return true;
  });
  const bool primary_set = !tenant.spec().primary_cluster().empty();
  if (primary_set) context.set_primary_cluster(tenant.spec().primary_cluster());
  if (!primary_set && context.clusters_size() > 0)
    context.set_primary_cluster(context.clusters(0).cluster());
  return out;
}

ClusterEndpoints cluster_endpoints(const Snapshot& snapshot, const std::string& name) {
  ClusterEndpoints out;
  const auto* cluster = snapshot.find<pb::Cluster>(name);
  if (cluster == nullptr) return out;
  std::set<std::string> services;
  struct Place {
    std::shared_ptr<const pb::Node> node;
    std::shared_ptr<const pb::Instance> instance;
    const pb::Service* service;
  };
  std::vector<Place> places;
  std::set<std::string> with_room;  // services that have an instance on a node that has room
  for (const auto& node : snapshot.find_by<pb::Node>("cluster", name)) {
    const bool node_stays = keeps_its_place(node->status().health().state()) && takes_work(*node);
    for (const auto& instance : snapshot.find_by<pb::Instance>("node", node->metadata().name())) {
      services.insert(instance->spec().service());
      const auto* service = snapshot.find<pb::Service>(instance->spec().service());
      if (service == nullptr || !service->spec().tenant_facing()) continue;
      if (!node_stays || !keeps_its_place(instance->status().state())) continue;
      places.push_back({node, instance, service});
      if (node->status().health().saturated().empty()) with_room.insert(instance->spec().service());
    }
  }
  // Nobody new is sent to a node that is saturated, unless all are: a full place is better than
  // none.
  for (const Place& place : places)
    if (place.node->status().health().saturated().empty() ||
        !with_room.contains(place.instance->spec().service()))
      add_endpoints(*cluster, *place.node, *place.instance, *place.service, out.context);
  out.services.assign(services.begin(), services.end());
  return out;
}

Result<pb::TenantContext> tenant_context(const Snapshot& snapshot, std::string_view name) {
  auto own = own_context(snapshot, name);
  if (!own) return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", name));
  for (const std::string& cluster : own->endpoints_of)
    own->context.MergeFrom(cluster_endpoints(snapshot, cluster).context);
  own->context.set_revision(snapshot.revision());
  return std::move(own->context);
}

}  // namespace frameworks
