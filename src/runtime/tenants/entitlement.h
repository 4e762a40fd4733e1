// Which clusters a tenant may use.
#pragma once

#include "frameworks/v1/tenant.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// The grant holds at the snapshot's time: the time of the fleet's last write. Who wants an expiry
// to show at the moment itself writes to the fleet then.
bool is_valid(const Snapshot& snapshot, const pb::Grant& grant);

// From the spec: suspended, being deleted, or active.
pb::TenantState tenant_state(const pb::Tenant& tenant);

// Healthy enough to stay in answers: a suspect keeps its place until it is down; what was never
// seen has none yet.
bool keeps_its_place(pb::Health health);

}  // namespace frameworks
