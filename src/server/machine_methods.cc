// Machines: power, and tokens to join with.
#include <fmt/format.h>

#include "runtime/access/visibility.h"
#include "runtime/sessions/join.h"
#include "server/handlers.h"
#include "server/machine_power.h"

namespace frameworks {
namespace {

Status set_power(const Fleet& fleet, const Caller& caller, const pb::SetPowerRequest& request) {
  const SnapshotPtr snapshot = fleet.store.snapshot();
  const auto* node = snapshot->find<pb::Node>(request.node());
  const Visibility visibility(*snapshot, caller.tenant);
  if (node == nullptr || !visibility.sees(*snapshot->find({"Node", {}, request.node()})))
    return Error(Code::kNotFound, fmt::format("Node/{}: not found", request.node()));
  if (!visibility.operates(node->spec().cluster()))
    return Error(Code::kPermissionDenied,
                 fmt::format("Node/{}: cluster \"{}\" is not yours to operate: ask for a grant of "
                             "level operate",
                             request.node(), node->spec().cluster()));
  if (node->spec().pool().empty())
    return Error(Code::kFailedPrecondition,
                 fmt::format("Node/{}: belongs to no machine pool, its power is not ours to switch",
                             request.node()));
  if (request.dry_run()) return {};
  return switch_power(fleet.store, fleet.machines, actor(caller), request.node(), request.on(),
                      caller.name);
}

// A caller that is bound to a tenant lets machines join the clusters that the tenant runs.
Status check_joins(const Snapshot& snapshot, const Caller& caller, const std::string& cluster) {
  const Visibility visibility(snapshot, caller.tenant);
  if (visibility.manages(cluster)) return {};
  if (visibility.find({"Cluster", {}, cluster}) == nullptr)
    return Error(Code::kNotFound, fmt::format("cluster \"{}\": not found", cluster));
  return Error(Code::kPermissionDenied,
               fmt::format("cluster \"{}\" is not run by tenant \"{}\": its machines are not yours "
                           "to join",
                           cluster, caller.tenant));
}

}  // namespace

void add_machine_methods(Api& api, const Fleet& fleet) {
  api.add<pb::SetPowerRequest, pb::SetPowerResponse>(
      "frameworks.v1.Machines/SetPower", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto&) {
        return set_power(fleet, caller, request);
      });
  api.add<pb::CreateJoinTokenRequest, pb::CreateJoinTokenResponse>(
      "frameworks.v1.Machines/CreateJoinToken", Runs::kWorker,
      [&store = fleet.store](const Caller& caller, const auto& request, auto& response) -> Status {
        RETURN_IF_ERROR(check_joins(*store.snapshot(), caller, request.cluster()));
        ASSIGN_OR_RETURN(response, create_join_token(store, actor(caller), request));
        return {};
      });
}

}  // namespace frameworks
