// Changes of the fleet as one transaction, and the plan that says beforehand what they will do.
//
// A plan goes layer by layer: what changes in the model, then which machines, hosts, peers,
// filters, instances and entitlements follow, and whom it touches. It is empty when nothing is left
// to do.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "frameworks/v1/fleet_api.pb.h"
#include "runtime/sessions/plan_source.h"
#include "store/store.h"

namespace frameworks {

// Marks resources that an apply created or updated: only these are pruned.
inline constexpr const char* kAppliedAnnotation = "frameworks/applied";

// The fleet before and after a planned change, filled when its edit runs.
struct PlannedChange {
  Snapshot before;
  Snapshot after;
  std::vector<ResourceKey> keys;  // what the edit touched
};

// All edits derive what follows and validate the outcome, so that all is refused together or
// written together. `outcome` is filled when the edit succeeded.

// What a caller may write; either may be empty.
struct ApplyRules {
  using Check = std::function<Status(const Snapshot& before, std::span<const Resource> items)>;
  using Prunable = std::function<bool(const Kind&)>;
  Check check = nullptr;        // asked first, inside the transaction
  Prunable prunable = nullptr;  // pruning leaves alone what it says no to
};
// kInvalidArgument with every violation, each with the origin of its item.
Result<Edit> apply_edit(const pb::ApplyRequest& request, std::shared_ptr<PlannedChange> outcome,
                        ApplyRules rules = {});
// kNotFound; kFailedPrecondition for what the system owns; kInvalidArgument while something still
// references it. A tenant goes in order (runtime/tenants/tenant_deletion.h).
Result<Edit> delete_edit(const pb::DeleteRequest& request, std::shared_ptr<PlannedChange> outcome);

// What a method of its own writes, by `change`.
Edit checked_edit(Edit change, std::shared_ptr<PlannedChange> outcome);

// Whether the model differs at all, derived resources included.
bool changes_anything(const PlannedChange& change);

pb::Plan explain(const PlannedChange& change, const PlanSource& source);

}  // namespace frameworks
