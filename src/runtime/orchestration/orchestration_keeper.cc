#include "runtime/orchestration/orchestration_keeper.h"

#include <set>
#include <thread>

#include "base/log.h"
#include "control/reconciler.h"
#include "control/store_follower.h"
#include "frameworks/v1/node.pb.h"
#include "model/availability.h"
#include "runtime/orchestration/drain_step.h"
#include "runtime/orchestration/rollout_change.h"
#include "runtime/orchestration/rollout_plan.h"

namespace frameworks {
namespace {

// Steps of one rollout in a row, before others have their turn.
constexpr int kInARow = 20;
// Nothing is due at a time of its own: the store pokes.
constexpr Duration kLook = std::chrono::hours(1);

class Keeper final : public OrchestrationKeeper {
 public:
  Keeper(Store& store, Clock& clock, Options options)
      : store_(store),
        clock_(clock),
        options_(std::move(options)),
        rollouts_(clock, {.name = "rollout"},
                  [this](const std::string& name, const std::stop_token& stop) {
                    return move(name, stop);
                  }),
        drains_(clock, {.name = "drain of node"},
                [this](const std::string& node, const std::stop_token&) { return look(node); }),
        follower_(
            store, "orchestration", [this](const Snapshot& snapshot) { begin_with(snapshot); },
            [this](const Change& change) { moves_ |= take(change); }) {}

  ~Keeper() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    rollouts_.stop();
    drains_.stop();
  }

  Status begin() {
    RETURN_IF_ERROR(follower_.start());
    rollouts_.start();
    drains_.start();
    thread_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
    return {};
  }

 private:
  // Whatever an earlier keeper left, and whatever was missed.
  void begin_with(const Snapshot& snapshot) {
    active_.clear();
    for (const auto& rollout : snapshot.list<pb::Rollout>()) note(*rollout);
    for (const auto& node : snapshot.list<pb::Node>())
      if (is_draining(*node)) drains_.enqueue(node->metadata().name());
  }

  // There is, or was, something to be told of its drain.
  static bool is_draining(const pb::Node& node) {
    return !takes_work(node) || node.status().has_drain();
  }

  void note(const pb::Rollout& rollout) {
    const std::string& name = rollout.metadata().name();
    if (has_ended(rollout)) {
      active_.erase(name);
    } else {
      active_.insert(name);
      rollouts_.enqueue(name);
    }
  }

  void follow(const std::stop_token& stop) {
    do {
      follower_.catch_up();
      // Anything may be what a rollout waits for; keys that wait already coalesce.
      if (std::exchange(moves_, false))
        for (const std::string& name : active_) rollouts_.enqueue(name);
    } while (follower_.wait(clock_, kLook, stop));
  }

  bool take(const Change& change) {
    const std::string& kind = change.key.kind;
    if (kind == "Rollout") {
      if (change.after)
        note(change.after.as<pb::Rollout>());
      else
        active_.erase(change.key.name);
    }
    if (kind == "Node" && change.after && is_draining(change.after.as<pb::Node>()))
      drains_.enqueue(change.key.name);
    if (kind == "Instance" && change.after) {
      const SnapshotPtr snapshot = store_.snapshot();
      const auto* node = snapshot->find<pb::Node>(change.after.as<pb::Instance>().spec().node());
      if (node != nullptr && is_draining(*node)) drains_.enqueue(node->metadata().name());
    }
    return kind == "Rollout" || kind == "Node" || kind == "Instance" || kind == "Operation" ||
           kind == "Service";
  }

  Result<std::optional<Duration>> move(const std::string& name, const std::stop_token& stop) {
    for (int i = 0; i < kInARow && !stop.stop_requested(); ++i) {
      RolloutMove moved;
      const auto done = store_.write(kOrchestrationActor, [&](Transaction& transaction) -> Status {
        moved = move_rollout(transaction, name, options_.budget);
        return {};
      });
      if (!done) return done.error();
      if (moved.queued_operation) options_.wake_operations();
      if (!moved.told.empty()) spdlog::info("{}", moved.told);
      if (!moved.wrote) return moved.again;
    }
    return std::optional<Duration>(std::chrono::milliseconds(1));
  }

  Result<std::optional<Duration>> look(const std::string& node) {
    std::optional<Duration> again;
    const auto done = store_.write(kOrchestrationActor, [&](Transaction& transaction) -> Status {
      again = note_drain(transaction, node);
      return {};
    });
    if (!done) return done.error();
    return again;
  }

  Store& store_;
  Clock& clock_;
  const Options options_;
  Reconciler rollouts_;
  Reconciler drains_;

  // The thread's own.
  std::set<std::string> active_;
  bool moves_ = false;  // something came that a rollout may wait for
  StoreFollower follower_;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<OrchestrationKeeper>> OrchestrationKeeper::start(Store& store, Clock& clock,
                                                                        Options options) {
  auto keeper = std::make_unique<Keeper>(store, clock, std::move(options));
  RETURN_IF_ERROR(keeper->begin());
  return std::unique_ptr<OrchestrationKeeper>(std::move(keeper));
}

}  // namespace frameworks
