// What a tenant's programs need to know to serve it, from one snapshot. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// Entitled clusters: those of grants that have not expired. Endpoints: the ports with a `url` of
// tenant-facing services' instances on those clusters, as long as instance and node keep their
// place (healthy, degraded or suspect); none for a tenant that is suspended. Work grows with the
// tenant's clusters, not with the fleet. `revision` is the snapshot's. kNotFound.
Result<pb::TenantContext> tenant_context(const Snapshot& snapshot, std::string_view tenant);

// A context's parts: what is the tenant's own, and the endpoints of each of its clusters, which
// every tenant of the cluster shares.
struct OwnContext {
  pb::TenantContext context;              // without endpoints and revision
  std::vector<std::string> grants_to;     // clusters of all its grants, also of those that are void
  std::vector<std::string> endpoints_of;  // clusters whose endpoints belong to the context
  // When the next of its grants runs out.
  std::optional<WallTime> until;
  // A grant ran out since its last write: the context changed without one.
  bool ran_out = false;
};
// Empty when there is no such tenant.
std::optional<OwnContext> own_context(const Snapshot& snapshot, std::string_view tenant);

struct ClusterEndpoints {
  pb::TenantContext context;          // only `endpoints`
  std::vector<std::string> services;  // that the cluster has instances of
};
ClusterEndpoints cluster_endpoints(const Snapshot& snapshot, const std::string& cluster);

// Whose name, uid, subdomain or verified domain it is; nullptr: nobody's. kInvalidArgument unless
// exactly one is set. An API key is nobody's here: it is the token desk that knows whose it is.
Result<const pb::Tenant*> find_tenant(const Snapshot& snapshot, const pb::TenantKey& key);

// Who has a valid grant on a cluster, by tenant's name. kNotFound; kInvalidArgument for a page
// token of another list.
Result<pb::ListClusterTenantsResponse> cluster_tenants(
    const Snapshot& snapshot, const pb::ListClusterTenantsRequest& request);

}  // namespace frameworks
