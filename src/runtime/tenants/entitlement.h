// Which clusters a tenant may use.
#pragma once

#include <optional>

#include "base/clock.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// The grant holds at the snapshot's time: the time of the fleet's last write. At the moment that a
// grant expires TenantKeeper writes, so that it shows then.
bool is_valid(const Snapshot& snapshot, const pb::Grant& grant);

// When it becomes void; nothing: never. Times that a clock cannot have count as the nearest it can.
std::optional<WallTime> expiry_of(const pb::Grant& grant);
// What Grant.status.state says at `now`.
pb::GrantState grant_state(const pb::Grant& grant, WallTime now);

// What a tenant may use of a grant's cluster: the tenant's limits, with those that the grant has.
pb::Limits merged_limits(const pb::Limits& tenant, const pb::Limits& grant);

// From the spec: suspended, being deleted, or active.
pb::TenantState tenant_state(const pb::Tenant& tenant);

// Healthy enough to stay in answers: a suspect keeps its place until it is down; what was never
// seen has none yet.
bool keeps_its_place(pb::Health health);

}  // namespace frameworks
