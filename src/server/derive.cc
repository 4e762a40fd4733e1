#include "server/derive.h"

#include "machine/provisioning/pool_plan.h"
#include "runtime/access/change_rules.h"
#include "runtime/orchestration/placement_plan.h"
#include "runtime/orchestration/rollout_change.h"
#include "runtime/tenants/tenant_status.h"

namespace frameworks {

Status derive(Transaction& transaction) {
  RETURN_IF_ERROR(plan_pool_nodes(transaction, transaction.changed()));
  RETURN_IF_ERROR(derive_tokens(transaction));
  RETURN_IF_ERROR(derive_tenants(transaction));
  for (const ResourceKey& key : transaction.changed())
    if (key.kind == "Service") drop_rollouts(transaction, key.name);
  // Again: nodes that came or went are changes too.
  return plan_instances(transaction, transaction.changed());
}

Status derive_everything(Transaction& transaction) {
  RETURN_IF_ERROR(plan_pool_nodes(transaction));
  return plan_instances(transaction);
}

}  // namespace frameworks
