#include "runtime/tenants/entitlement.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace frameworks {

std::optional<WallTime> expiry_of(const pb::Grant& grant) {
  if (!grant.spec().has_expire_time()) return {};
  const auto& time = grant.spec().expire_time();
  // A timestamp has ten thousand years, nanoseconds in 64 bits less than three hundred.
  constexpr int64_t kLast = INT64_MAX / 1'000'000'000 - 1;
  const auto seconds = std::clamp<int64_t>(time.seconds(), -kLast, kLast);
  return WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::seconds(seconds) + std::chrono::nanoseconds(time.nanos())));
}

pb::GrantState grant_state(const pb::Grant& grant, WallTime now) {
  const pb::Approval approval = grant.spec().approval();
  if (approval == pb::APPROVAL_REQUESTED) return pb::GRANT_STATE_REQUESTED;
  // What is none of those that are known entitles to nothing.
  if (approval != pb::APPROVAL_UNSPECIFIED && approval != pb::APPROVAL_APPROVED)
    return pb::GRANT_STATE_REJECTED;
  const auto expiry = expiry_of(grant);
  return expiry && *expiry <= now ? pb::GRANT_STATE_EXPIRED : pb::GRANT_STATE_ACTIVE;
}

bool is_valid(const Snapshot& snapshot, const pb::Grant& grant) {
  return !grant.metadata().has_delete_time() &&
         grant_state(grant, snapshot.time()) == pb::GRANT_STATE_ACTIVE;
}

pb::Limits merged_limits(const pb::Limits& tenant, const pb::Limits& grant) {
  pb::Limits out = tenant;
  out.MergeFrom(grant);  // fields without a value stay the tenant's
  return out;
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
