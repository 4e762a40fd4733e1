// Nodes that get work, and nodes that get none.
#include <fmt/format.h>

#include <algorithm>

#include "frameworks/v1/orchestration_api.pb.h"
#include "model/availability.h"
#include "runtime/access/visibility.h"
#include "runtime/orchestration/discovery.h"
#include "runtime/orchestration/rollout_batch.h"
#include "server/handlers.h"
#include "server/plan.h"

namespace frameworks {
namespace {

constexpr Duration kLongestDrain = std::chrono::hours(720);

// The same again changes nothing, but for a new deadline.
Status set_availability(const Fleet& fleet, const Caller& caller, const std::string& name,
                        const std::function<void(pb::NodeSpec&, WallTime now)>& set, bool dry_run,
                        pb::ApplyResponse& response) {
  const auto outcome = std::make_shared<PlannedChange>();
  const Edit edit = checked_edit(
      [caller, name, set](Transaction& transaction) -> Status {
        const auto* stored = transaction.snapshot().find<pb::Node>(name);
        const bool seen =
            stored != nullptr &&
            Visibility(transaction.snapshot(), caller.tenant).operates(stored->spec().cluster());
        if (!seen) return Error(Code::kNotFound, fmt::format("Node/{}: not found", name));
        pb::Node next = *stored;
        set(*next.mutable_spec(), transaction.time());
        // Whoever asks for it has it from now on, a rollout that drained it no longer.
        next.mutable_metadata()->mutable_annotations()->erase(kDrainedBy);
        transaction.put(std::move(next));
        return {};
      },
      outcome);
  return change_fleet(fleet, caller, edit, dry_run, outcome, response);
}

Status drain(const Fleet& fleet, const Caller& caller, const pb::DrainNodeRequest& request,
             pb::ApplyResponse& response) {
  const Duration deadline = std::chrono::seconds(request.deadline().seconds()) +
                            std::chrono::nanoseconds(request.deadline().nanos());
  if (request.has_deadline() && (deadline <= Duration::zero() || deadline > kLongestDrain))
    return Error::invalid({{{},
                            0,
                            "",
                            "deadline",
                            "is not above 0s and at most 720h: change it, or leave it out to wait "
                            "for as long as it takes"}});
  return set_availability(
      fleet, caller, request.node(),
      [request, deadline](pb::NodeSpec& spec, WallTime now) {
        spec.set_availability(request.maintenance() ? pb::AVAILABILITY_MAINTENANCE
                                                    : pb::AVAILABILITY_DRAINED);
        spec.clear_drain_deadline();
        if (request.has_deadline()) *spec.mutable_drain_deadline() = batch_time(now + deadline);
      },
      request.dry_run(), response);
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
        return drain(fleet, caller, request, response);
      });
  api.add<pb::ResumeNodeRequest, pb::ApplyResponse>(
      "frameworks.v1.Orchestration/Resume", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return set_availability(
            fleet, caller, request.node(),
            [](pb::NodeSpec& spec, WallTime) {
              spec.set_availability(pb::AVAILABILITY_ACTIVE);
              spec.clear_drain_deadline();
            },
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
