// New versions of services go out, are held up, and are taken back.
#include <fmt/format.h>

#include "frameworks/v1/orchestration_api.pb.h"
#include "model/words.h"
#include "runtime/orchestration/rollout_explain.h"
#include "runtime/orchestration/rollout_plan.h"
#include "server/handlers.h"
#include "server/plan.h"

namespace frameworks {
namespace {

Status may_start(const Snapshot& snapshot, const pb::Rollout& rollout) {
  const std::string& service = rollout.spec().service();
  const auto* found = snapshot.find<pb::Service>(service);
  if (found == nullptr)
    return Error(Code::kNotFound, fmt::format("Service/{}: not found", service));
  if (const std::string current = current_rollout(snapshot, service); !current.empty())
    return Error(
        Code::kFailedPrecondition,
        fmt::format("Service/{}: rollout {} is under way: wait for its end, or end it with "
                    "`frameworks rollout abort {}`",
                    service, current, service));
  if (found->spec().version() == rollout.spec().version() &&
      plan_batches(snapshot, rollout).empty())
    return Error(
        Code::kFailedPrecondition,
        fmt::format("Service/{}: every instance has {} already", service,
                    rollout.spec().version().empty() ? "the distribution's version"
                                                     : "version " + rollout.spec().version()));
  return {};
}

// Writes the rollout that `change` makes of the snapshot, or says what that would be.
Status write_rollout(const Fleet& fleet, const Caller& caller, bool dry_run,
                     const std::function<Result<pb::Rollout>(const Snapshot&)>& change,
                     pb::RolloutResponse& response) {
  const auto outcome = std::make_shared<PlannedChange>();
  const auto name = std::make_shared<std::string>();
  const Edit edit = checked_edit(
      [change, name](Transaction& transaction) -> Status {
        ASSIGN_OR_RETURN(pb::Rollout rollout, change(transaction.snapshot()));
        *name = rollout.metadata().name();
        transaction.put(std::move(rollout));
        return {};
      },
      outcome);
  const auto written =
      dry_run ? fleet.store.dry_run(edit, nullptr) : fleet.store.write(actor(caller), edit);
  if (!written) return written.error();
  response.set_revision(written->revision);
  if (const auto* rollout = outcome->after.find<pb::Rollout>(*name))
    *response.mutable_rollout() = *rollout;
  if (!has_ended(response.rollout()) && !is_under_way(response.rollout()))
    *response.mutable_plan() = explain_rollout(outcome->before, response.rollout());
  return {};
}

Status start(const Fleet& fleet, const Caller& caller, const pb::StartRolloutRequest& request,
             pb::RolloutResponse& response) {
  return write_rollout(
      fleet, caller, request.dry_run(),
      [request](const Snapshot& snapshot) -> Result<pb::Rollout> {
        pb::Rollout rollout;
        rollout.mutable_metadata()->set_name(next_rollout_name(snapshot, request.service()));
        rollout.mutable_spec()->set_service(request.service());
        rollout.mutable_spec()->set_version(request.version());
        if (request.has_strategy())
          *rollout.mutable_spec()->mutable_strategy() = request.strategy();
        RETURN_IF_ERROR(may_start(snapshot, rollout));
        return rollout;
      },
      response);
}

Result<pb::Rollout> controlled(const Snapshot& snapshot, const pb::ControlRolloutRequest& request) {
  const auto* found = snapshot.find<pb::Rollout>(request.rollout());
  if (found == nullptr)
    return Error(Code::kNotFound,
                 fmt::format("Rollout/{}: not found: `frameworks rollout list` lists them",
                             request.rollout()));
  pb::Rollout rollout = *found;
  if (has_ended(rollout))
    return Error(Code::kFailedPrecondition,
                 fmt::format("Rollout/{}: has ended: {}", request.rollout(),
                             word(rollout.status().state())));
  pb::RolloutSpec& spec = *rollout.mutable_spec();
  const bool goes_back =
      spec.aborted() || rollout.status().state() == pb::ROLLOUT_STATE_ROLLING_BACK;
  switch (request.action()) {
    case pb::ROLLOUT_ACTION_ABORT:
      spec.set_aborted(true);
      break;
    case pb::ROLLOUT_ACTION_PAUSE:
      if (goes_back)
        return Error(
            Code::kFailedPrecondition,
            fmt::format("Rollout/{}: goes back to the last good version, which is not held up",
                        request.rollout()));
      spec.set_paused(true);
      break;
    default:
      spec.set_paused(false);
  }
  return rollout;
}

}  // namespace

void add_rollout_methods(Api& api, const Fleet& fleet) {
  api.add<pb::StartRolloutRequest, pb::RolloutResponse>(
      "frameworks.v1.Orchestration/StartRollout", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return start(fleet, caller, request, response);
      });
  api.add<pb::ControlRolloutRequest, pb::RolloutResponse>(
      "frameworks.v1.Orchestration/ControlRollout", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return write_rollout(
            fleet, caller, request.dry_run(),
            [request](const Snapshot& snapshot) { return controlled(snapshot, request); },
            response);
      });
}

}  // namespace frameworks
