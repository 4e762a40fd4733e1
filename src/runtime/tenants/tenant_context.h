// What a tenant's programs need to know to serve it, from one snapshot.
#pragma once

#include <string_view>

#include "base/error.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// Entitled clusters: those of grants that have not expired. Endpoints: the ports with a `url` of
// tenant-facing services' instances on those clusters, as long as instance and node keep their
// place (healthy, degraded or suspect); none for a tenant that is suspended. Work grows with the
// tenant's clusters, not with the fleet. kNotFound.
Result<pb::TenantContext> tenant_context(const Snapshot& snapshot, std::string_view tenant);

// Whose name, uid, subdomain or verified domain it is; nullptr: nobody's. kInvalidArgument unless
// exactly one is set, kUnimplemented for an API key.
Result<const pb::Tenant*> find_tenant(const Snapshot& snapshot, const pb::TenantKey& key);

// Who has a valid grant on a cluster, by tenant's name. kNotFound; kInvalidArgument for a page
// token of another list.
Result<pb::ListClusterTenantsResponse> cluster_tenants(
    const Snapshot& snapshot, const pb::ListClusterTenantsRequest& request);

}  // namespace frameworks
