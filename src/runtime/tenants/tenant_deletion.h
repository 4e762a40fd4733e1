// The end of a tenant, in order:
//
//   1. what it was given: its grants, and invites that are for it;
//   2. what it runs: customer-managed clusters of its own, with their machine pools, nodes (and the
//      instances on them), join tokens and invites. A dedicated cluster is the platform's: the
//      deletion waits until somebody deletes it or gives it another owner;
//   3. who spoke for it: accounts, and with them their tokens;
//   4. the row, and with it its names: only now may others have them.
//
// From the first moment on the tenant is refused everywhere (tenant_state() is DELETING). Each step
// is one write that reads what is there; who drives it (TenantKeeper) may stop and start at any
// time. The log of changes stays.
#pragma once

#include <string>
#include <vector>

#include "model/snapshot.h"
#include "store/store.h"

namespace frameworks {

// Keeps the row until the rest is gone.
inline constexpr const char* kTenantFinalizer = "tenants";

struct DeletionStep {
  enum class Stage { kGrants, kInstances, kAccounts, kNames };
  Stage stage = Stage::kGrants;
  std::string about;              // of a stage with several: the kind, or the cluster's name
  std::string summary;            // "2 grants"
  std::string blocked;            // why it cannot go, and what to do; empty: it can
  std::vector<ResourceKey> keys;  // what goes in one write, in this order; not of names
};

// What is left of a tenant, in order; the last one are its names. Pure.
std::vector<DeletionStep> plan_deletion(const Snapshot& snapshot, const std::string& tenant);

// As `status.waiting` tells it.
std::vector<std::string> waiting_text(const std::vector<DeletionStep>& steps);

// Marks the tenant as being deleted; where nothing is left but names, it goes at once. The same
// again changes nothing. The one way in which a tenant is deleted.
void begin_deletion(Transaction& transaction, const std::string& tenant);

// The step of that stage about that, in one write, if there is still such a one that can go.
// kInvalidArgument with what is in the way. True when machines may have to go.
Result<bool> take_step(Transaction& transaction, const std::string& tenant,
                       DeletionStep::Stage stage, const std::string& about);

// Writes what the deletion waits for into the tenant's status.
void note_waiting(Transaction& transaction, const std::string& tenant,
                  const std::vector<std::string>& waiting);

}  // namespace frameworks
