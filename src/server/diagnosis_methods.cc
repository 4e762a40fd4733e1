// Diagnosis: what is in the way of a thing.
#include "runtime/diagnosis/diagnosis.h"

#include "server/handlers.h"

namespace frameworks {
namespace {

PlanWaits plan_waits(const Sessions& sessions, Revision revision) {
  PlanWaits out;
  for (const Convergence::Plane& plane : sessions.convergence(revision))
    for (const Convergence::Waiting& waiting : plane.waiting)
      if (!waiting.node.empty())
        out[waiting.node].push_back({plane.name, waiting.error, waiting.failed});
  return out;
}

}  // namespace

void add_diagnosis_methods(Api& api, const Fleet& fleet) {
  api.add<pb::WhyRequest, pb::WhyResponse>(
      "frameworks.v1.Diagnosis/Why", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) -> Status {
        const SnapshotPtr snapshot = fleet.store.snapshot();
        const Visibility view(*snapshot, caller.tenant);
        ASSIGN_OR_RETURN(response, diagnose(view, plan_waits(fleet.sessions, snapshot->revision()),
                                            request.kind(), request.name()));
        return {};
      });
}

}  // namespace frameworks
