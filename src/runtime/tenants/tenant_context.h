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

}  // namespace frameworks
