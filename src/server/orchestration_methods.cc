// Nodes that get work, and nodes that get none.
#include <fmt/format.h>

#include <algorithm>

#include "frameworks/v1/orchestration_api.pb.h"
#include "runtime/access/visibility.h"
#include "runtime/orchestration/discovery.h"
#include "server/handlers.h"
#include "server/plan.h"

namespace frameworks {
namespace {

// The same again changes nothing.
Status set_availability(const Fleet& fleet, const Caller& caller, const std::string& name,
                        pb::Availability availability, bool dry_run, pb::ApplyResponse& response) {
  const auto outcome = std::make_shared<PlannedChange>();
  const Edit edit = checked_edit(
      [caller, name, availability](Transaction& transaction) -> Status {
        const auto* stored = transaction.snapshot().find<pb::Node>(name);
        const bool seen =
            stored != nullptr &&
            Visibility(transaction.snapshot(), caller.tenant).operates(stored->spec().cluster());
        if (!seen) return Error(Code::kNotFound, fmt::format("Node/{}: not found", name));
        pb::Node next = *stored;
        next.mutable_spec()->set_availability(availability);
        transaction.put(std::move(next));
        return {};
      },
      outcome);
  RETURN_IF_ERROR(change_fleet(fleet, caller, edit, dry_run, outcome, response));
  const auto* before = outcome->before.find<pb::Node>(name);
  if (before != nullptr && before->spec().availability() != availability) {
    const bool drained = availability == pb::AVAILABILITY_DRAINED;
    pb::PlanStep& step = *response.mutable_plan()->add_steps();
    step.set_layer("runtime");
    step.set_action(drained ? "drain" : "resume");
    step.set_object("Node/" + name);
    step.set_summary(drained ? "tenants are no longer sent to it" : "tenants are sent to it again");
  }
  return {};
}

// Tells of the instances as they are, then whenever they are others.
class InstanceStream final : public ReplyStream {
 public:
  InstanceStream(Store& store, pb::DiscoverRequest request,
                 std::unique_ptr<Subscription> subscription)
      : store_(store), request_(std::move(request)), subscription_(std::move(subscription)) {}

  Result<State> next(Message& out) override {
    bool changed = !told_;
    while (true) {
      const auto changes = subscription_->next(kBatch);
      if (!changes) return changes.error();
      if (changes->empty()) break;
      changed |= std::any_of(changes->begin(), changes->end(), concerns);
    }
    if (!changed) return State::kWait;
    ASSIGN_OR_RETURN(pb::DiscoverResponse now, discover(*store_.snapshot(), request_));
    const std::string bytes = without_revision(now);
    if (told_ && bytes == last_) return State::kWait;
    told_ = true;
    last_ = bytes;
    static_cast<pb::DiscoverResponse&>(out) = std::move(now);
    return State::kMessage;
  }

 private:
  static constexpr size_t kBatch = 256;

  static bool concerns(const Change& change) {
    const std::string& kind = change.key.kind;
    return kind == "Instance" || kind == "Node" || kind == "Cluster" || kind == "Service";
  }
  static std::string without_revision(pb::DiscoverResponse response) {
    response.clear_revision();
    return response.SerializeAsString();
  }

  Store& store_;
  const pb::DiscoverRequest request_;
  std::unique_ptr<Subscription> subscription_;
  bool told_ = false;
  std::string last_;
};

}  // namespace

void add_orchestration_methods(Api& api, const Fleet& fleet) {
  api.add<pb::DrainNodeRequest, pb::ApplyResponse>(
      "frameworks.v1.Orchestration/Drain", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return set_availability(fleet, caller, request.node(), pb::AVAILABILITY_DRAINED,
                                request.dry_run(), response);
      });
  api.add<pb::ResumeNodeRequest, pb::ApplyResponse>(
      "frameworks.v1.Orchestration/Resume", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return set_availability(fleet, caller, request.node(), pb::AVAILABILITY_ACTIVE,
                                request.dry_run(), response);
      });
  api.add<pb::DiscoverRequest, pb::DiscoverResponse>(
      "frameworks.v1.Orchestration/Discover", Runs::kInline,
      [&store = fleet.store](const Caller&, const auto& request, auto& response) -> Status {
        ASSIGN_OR_RETURN(response, discover(*store.snapshot(), request));
        return {};
      });
  api.add_stream<pb::DiscoverRequest, pb::DiscoverResponse>(
      "frameworks.v1.Orchestration/WatchInstances",
      [&store = fleet.store](const Caller&, const auto& request,
                             Poke poke) -> Result<std::unique_ptr<ReplyStream>> {
        const SnapshotPtr now = store.snapshot();
        const auto exists = discover(*now, request);
        if (!exists) return exists.error();
        ASSIGN_OR_RETURN(auto subscription, store.subscribe(now->revision(), std::move(poke)));
        return std::unique_ptr<ReplyStream>(
            std::make_unique<InstanceStream>(store, request, std::move(subscription)));
      });
}

}  // namespace frameworks
