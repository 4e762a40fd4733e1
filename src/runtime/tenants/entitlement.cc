#include "runtime/tenants/entitlement.h"

#include <chrono>

namespace frameworks {

bool is_valid(const Snapshot& snapshot, const pb::Grant& grant) {
  if (grant.metadata().has_delete_time()) return false;
  // What was asked for, or refused, entitles to nothing.
  const pb::Approval approval = grant.spec().approval();
  if (approval != pb::APPROVAL_UNSPECIFIED && approval != pb::APPROVAL_APPROVED) return false;
  if (!grant.spec().has_expire_time()) return true;
  const auto& expiry = grant.spec().expire_time();
  const auto since_epoch =
      std::chrono::seconds(expiry.seconds()) + std::chrono::nanoseconds(expiry.nanos());
  return snapshot.time().time_since_epoch() < since_epoch;
}

pb::TenantState tenant_state(const pb::Tenant& tenant) {
  if (tenant.metadata().has_delete_time()) return pb::TENANT_STATE_DELETING;
  return tenant.spec().suspended() ? pb::TENANT_STATE_SUSPENDED : pb::TENANT_STATE_ACTIVE;
}

bool keeps_its_place(pb::Health health) {
  return health == pb::HEALTH_HEALTHY || health == pb::HEALTH_DEGRADED ||
         health == pb::HEALTH_SUSPECT;
}

}  // namespace frameworks
