#include "runtime/orchestration/rollout_step.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "base/text.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "model/availability.h"
#include "model/words.h"
#include "runtime/orchestration/placement_plan.h"
#include "runtime/orchestration/rollout_batch.h"
#include "runtime/orchestration/rollout_plan.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

std::string version_text(const std::string& version) {
  return version.empty() ? "the distribution's version" : version;
}

class Flow {
 public:
  Flow(const Snapshot& snapshot, const pb::Rollout& rollout, WallTime now,
       const DisruptionBudget& budget)
      : snapshot_(snapshot),
        rollout_(rollout),
        now_(now),
        budget_(budget),
        terms_(rollout_terms(snapshot, rollout)) {
    step_.status = rollout.status();
  }

  RolloutStep take() {
    if (!has_ended(rollout_)) {
      if (snapshot_.find<pb::Service>(rollout_.spec().service()) == nullptr)
        end(pb::ROLLOUT_STATE_FAILED, "its service is gone");
      else if (!is_under_way(rollout_))
        begin();
      else if (rollout_.status().state() == pb::ROLLOUT_STATE_ROLLING_BACK)
        go_back();
      else
        go_on();
    }
    return std::move(step_);
  }

 private:
  [[nodiscard]] const pb::Service& service() const {
    return *snapshot_.find<pb::Service>(rollout_.spec().service());
  }
  pb::RolloutStatus& status() { return step_.status; }
  pb::RolloutBatch& batch(int index) { return *step_.status.mutable_batches(index); }
  [[nodiscard]] std::string title(int index) const {
    const pb::RolloutBatch& batch = step_.status.batches(index);
    std::string nodes;
    for (int i = 0; i < batch.nodes_size() && i < 3; ++i)
      nodes += (i == 0 ? "" : ", ") + batch.nodes(i);
    if (batch.nodes_size() > 3) nodes += fmt::format(", {} more", batch.nodes_size() - 3);
    return fmt::format("batch {} ({}{})", index + 1, batch.canary() ? "canary " : "", nodes);
  }

  void look_again(Duration after) {
    after = std::max<Duration>(after, std::chrono::milliseconds(1));
    step_.again = step_.again ? std::min(*step_.again, after) : after;
  }

  void end(pb::RolloutState state, const std::string& message) {
    status().set_state(state);
    status().set_message(message);
    *status().mutable_end_time() = batch_time(now_);
    if (!status().has_start_time()) *status().mutable_start_time() = batch_time(now_);
  }

  // Of a batch that is as it shall be.
  void close(int index, pb::BatchState state, const std::string& message) {
    batch(index).set_state(state);
    batch(index).set_message(message);
    *batch(index).mutable_end_time() = batch_time(now_);
    resume_nodes(index);
  }

  void resume_nodes(int index) {
    for (const std::string& name : batch(index).nodes()) {
      const auto* node = snapshot_.find<pb::Node>(name);
      if (node == nullptr) continue;
      const auto by = node->metadata().annotations().find(kDrainedBy);
      if (by != node->metadata().annotations().end() && by->second == rollout_.metadata().name())
        step_.resume.push_back(name);
    }
  }

  void wait(int index, const std::string& why) { batch(index).set_message(why); }

  // ---- its turn

  void begin() {
    if (rollout_.spec().aborted())
      return end(pb::ROLLOUT_STATE_ROLLED_BACK, "aborted before anything was changed");
    status().set_state(pb::ROLLOUT_STATE_PENDING);
    const std::string current = current_rollout(snapshot_, rollout_.spec().service());
    if (current != rollout_.metadata().name())
      return status().set_message(fmt::format("waits for rollout {} of the same service", current));
    if (rollout_.spec().paused()) return status().set_message("paused before its first batch");
    status().set_state(pb::ROLLOUT_STATE_RUNNING);
    status().set_message("");
    status().set_from_version(service().spec().version());
    *status().mutable_start_time() = batch_time(now_);
    for (pb::RolloutBatch& planned : plan_batches(snapshot_, rollout_))
      *status().add_batches() = std::move(planned);
    if (status().batches().empty()) succeed();
  }

  void succeed() {
    step_.service_version = rollout_.spec().version();
    end(pb::ROLLOUT_STATE_SUCCEEDED, fmt::format("{} has {}", rollout_.spec().service(),
                                                 version_text(rollout_.spec().version())));
  }

  // ---- forward

  void go_on() {
    if (service().spec().version() != rollout_.status().from_version()) {
      for (int i = 0; i < status().batches_size(); ++i) resume_nodes(i);
      return end(pb::ROLLOUT_STATE_FAILED,
                 fmt::format("the version of {} was changed beside it, to {}: it stops here",
                             rollout_.spec().service(), version_text(service().spec().version())));
    }
    if (rollout_.spec().aborted()) return turn_back("aborted");
    const auto& batches = status().batches();
    const auto next = std::find_if(batches.begin(), batches.end(), [](const auto& each) {
      return each.state() != pb::BATCH_STATE_DONE;
    });
    if (next == batches.end()) return add_latecomers();
    const int index = static_cast<int>(next - batches.begin());
    switch (batch(index).state()) {
      case pb::BATCH_STATE_DRAINING:
        return drain(index, rollout_.spec().version());
      case pb::BATCH_STATE_CONFIGURING:
        if (configured(index)) gate(index);
        return;
      case pb::BATCH_STATE_GATE:
        return gate(index);
      default:
        return begin_batch(index);
    }
  }

  // Instances that came, or were put back, while it ran.
  void add_latecomers() {
    auto more = plan_batches(snapshot_, rollout_);
    if (more.empty()) return succeed();
    for (pb::RolloutBatch& planned : more) *status().add_batches() = std::move(planned);
  }

  void begin_batch(int index) {
    if (rollout_.spec().paused()) {
      status().set_state(pb::ROLLOUT_STATE_PAUSED);
      return status().set_message(fmt::format("paused before {}", title(index)));
    }
    status().set_state(pb::ROLLOUT_STATE_RUNNING);
    status().set_message("");
    const std::vector<std::string> there = batch_instances(snapshot_, rollout_, batch(index));
    if (there.empty()) return close(index, pb::BATCH_STATE_DONE, "its nodes are gone");
    if (waits_for_region(index) || waits_for_others(index, there) || waits_for_budget(index))
      return;
    wait(index, "");
    if (terms_.drain > Duration::zero())
      begin_drain(index);
    else
      change(index, rollout_.spec().version());
  }

  bool waits_for_region(int index) {
    if (index == 0 || terms_.region_stagger <= Duration::zero()) return false;
    const pb::RolloutBatch& previous = batch(index - 1);
    if (previous.region() == batch(index).region()) return false;
    const Duration left = time_of(previous.end_time()) + terms_.region_stagger - now_;
    if (left <= Duration::zero()) return false;
    wait(index, fmt::format("region {} begins {} after {}", batch(index).region(),
                            format_duration(terms_.region_stagger), previous.region()));
    look_again(left);
    return true;
  }

  // Whether too many instances are away already. What this rollout changed itself is not waited for
  // beyond its patience.
  bool waits_for_others(int index, const std::vector<std::string>& there) {
    int mine = 0;
    for (const std::string& name : there) mine += is_away(snapshot_, name) ? 0 : 1;
    if (mine == 0) return false;  // it takes nothing away
    int others = 0;
    std::string named;
    for (const auto& instance :
         snapshot_.find_by<pb::Instance>("service", rollout_.spec().service())) {
      const std::string& name = instance->metadata().name();
      if (std::find(there.begin(), there.end(), name) != there.end() || !is_away(snapshot_, name) ||
          is_away_on_purpose(snapshot_, *instance))
        continue;
      if (++others <= 3) named += (others == 1 ? "" : ", ") + name;
      if (instance->spec().version() == rollout_.spec().version() && patience_ends(*instance)) {
        fail_changed(*instance);
        return true;
      }
    }
    if (others + mine <= terms_.max_unavailable) return false;
    if (others == 0) return false;  // the batch alone is as large as was asked for
    wait(index, fmt::format("{} {} away already ({}{}), at most {} may be", others,
                            others == 1 ? "instance is" : "instances are", named,
                            others > 3 ? ", ..." : "", terms_.max_unavailable));
    return true;
  }

  bool patience_ends(const pb::Instance& instance) {
    const Duration left = time_of(instance.status().since()) + terms_.patience - now_;
    if (left > Duration::zero()) look_again(left);
    return left <= Duration::zero();
  }

  void fail_changed(const pb::Instance& instance) {
    const std::string why =
        fmt::format("{} was well and is {} now: {}", instance.metadata().name(),
                    word(instance.status().state()), instance.status().reason());
    for (int i = 0; i < status().batches_size(); ++i)
      if (batch(i).state() == pb::BATCH_STATE_DONE &&
          std::find(batch(i).nodes().begin(), batch(i).nodes().end(), instance.spec().node()) !=
              batch(i).nodes().end())
        return fail(i, why);
    turn_back(why);
  }

  bool waits_for_budget(int index) {
    const int used = nodes_under_change(snapshot_, rollout_.metadata().name());
    const int fleet = static_cast<int>(snapshot_.count(kind_of<pb::Node>()));
    const int most = budget_.most_of(fleet);
    if (used == 0 || used + batch(index).nodes_size() <= most) return false;
    wait(index, fmt::format("other rollouts change {} of the {} nodes that may be changed at once "
                            "(disruption budget {})",
                            used, most, budget_.text()));
    return true;
  }

  // ---- a batch's way, in both directions

  void begin_drain(int index) {
    batch(index).set_state(pb::BATCH_STATE_DRAINING);
    *batch(index).mutable_start_time() = batch_time(now_);
    for (const std::string& name : batch(index).nodes()) {
      const auto* node = snapshot_.find<pb::Node>(name);
      if (node != nullptr && takes_work(*node)) step_.drain.push_back(name);
    }
    look_again(terms_.drain);
  }

  void drain(int index, const std::string& version) {
    const Duration left = time_of(batch(index).start_time()) + terms_.drain - now_;
    const std::string waiting = drain_waits_for(snapshot_, batch(index));
    if (left <= Duration::zero() || waiting.empty()) {
      wait(index, "");
      return change(index, version);
    }
    wait(index, waiting);
    look_again(left);
  }

  void change(int index, const std::string& version) {
    pb::RolloutBatch& changed = batch(index);
    changed.clear_healthy_since();
    changed.clear_operation();
    if (changed.state() != pb::BATCH_STATE_DRAINING)
      *changed.mutable_start_time() = batch_time(now_);
    changed.set_state(pb::BATCH_STATE_CONFIGURING);
    step_.batch = index;
    step_.version = version;
    step_.instances = batch_instances(snapshot_, rollout_, changed);
    step_.configure = reachable_nodes(snapshot_, changed);
    if (!step_.configure.empty()) return;
    changed.set_state(pb::BATCH_STATE_GATE);  // nobody is there to be configured or watched
  }

  // Whether the operation has ended well; what else is to be done is done.
  bool configured(int index) {
    const std::string& name = batch(index).operation();
    const auto* operation = snapshot_.find<pb::Operation>(name);
    if (operation == nullptr) {  // forgotten: once more, it is idempotent
      change(index, going_back() ? rollout_.status().from_version() : rollout_.spec().version());
      return false;
    }
    const pb::OperationState state = operation->status().state();
    if (state == pb::OPERATION_STATE_UNSPECIFIED || state == pb::OPERATION_STATE_RUNNING) {
      wait(index, fmt::format("operation {} configures it", name));
      return false;
    }
    if (const std::string why = why_not_configured(snapshot_, batch(index), *operation);
        !why.empty()) {
      fail(index, why);
      return false;
    }
    batch(index).set_state(pb::BATCH_STATE_GATE);
    wait(index, "");
    return true;
  }

  void gate(int index) {
    const GateView view = look_at_gate(snapshot_, rollout_, batch(index));
    const bool back = going_back();
    if (view.watched == 0) {
      wait(index, "");
      return close(
          index, back ? pb::BATCH_STATE_ROLLED_BACK : pb::BATCH_STATE_DONE,
          "its nodes are away: they get the version with the next apply that reaches them");
    }
    if (view.unhealthy.empty()) {
      if (!batch(index).has_healthy_since())
        *batch(index).mutable_healthy_since() = batch_time(now_);
      const Duration gate = back ? Duration::zero() : terms_.gate;
      const Duration left = time_of(batch(index).healthy_since()) + gate - now_;
      if (left <= Duration::zero())
        return close(index, back ? pb::BATCH_STATE_ROLLED_BACK : pb::BATCH_STATE_DONE, "");
      wait(index, fmt::format("healthy, and watched for {}", format_duration(gate)));
      return look_again(left);
    }
    batch(index).clear_healthy_since();
    const Duration left = view.begun + terms_.patience - now_;
    if (left <= Duration::zero())
      return fail(index, fmt::format("not healthy after {}: {}", format_duration(terms_.patience),
                                     view.unhealthy));
    wait(index, view.unhealthy);
    look_again(left);
  }

  [[nodiscard]] bool going_back() const {
    return step_.status.state() == pb::ROLLOUT_STATE_ROLLING_BACK;
  }

  // ---- failure, and back

  void fail(int index, const std::string& why) {
    const std::string message = title(index) + ": " + why;
    batch(index).set_state(pb::BATCH_STATE_FAILED);
    batch(index).set_message(why);
    *batch(index).mutable_end_time() = batch_time(now_);
    if (going_back())
      return end(pb::ROLLOUT_STATE_FAILED,
                 fmt::format("{}; going back to {} failed at {}", rollout_.status().message(),
                             version_text(rollout_.status().from_version()), message));
    if (terms_.keep_failed) return end(pb::ROLLOUT_STATE_FAILED, message + "; it is kept as it is");
    turn_back(message);
  }

  // What was begun counts as failed, what was not is left alone.
  void turn_back(const std::string& why) {
    status().set_state(pb::ROLLOUT_STATE_ROLLING_BACK);
    status().set_message(why);
    for (int i = 0; i < status().batches_size(); ++i) {
      if (batch(i).state() == pb::BATCH_STATE_DRAINING) {
        batch(i).set_state(pb::BATCH_STATE_PENDING);
        resume_nodes(i);
      } else if (batch(i).state() == pb::BATCH_STATE_CONFIGURING ||
                 batch(i).state() == pb::BATCH_STATE_GATE) {
        batch(i).set_state(pb::BATCH_STATE_FAILED);
        batch(i).set_message(why);
      }
    }
  }

  // The broken batch first, then the newest of those that were done.
  [[nodiscard]] int next_to_go_back() const {
    int found = -1;
    for (int i = 0; i < step_.status.batches_size(); ++i) {
      const pb::BatchState state = step_.status.batches(i).state();
      if (state == pb::BATCH_STATE_FAILED || state == pb::BATCH_STATE_DRAINING ||
          state == pb::BATCH_STATE_CONFIGURING || state == pb::BATCH_STATE_GATE)
        return i;
      if (state == pb::BATCH_STATE_DONE) found = i;
    }
    return found;
  }

  void go_back() {
    const std::string& good = rollout_.status().from_version();
    const int index = next_to_go_back();
    if (index < 0) return end(pb::ROLLOUT_STATE_ROLLED_BACK, rollout_.status().message());
    switch (batch(index).state()) {
      case pb::BATCH_STATE_DRAINING:
        return drain(index, good);
      case pb::BATCH_STATE_CONFIGURING:
        if (configured(index)) gate(index);
        return;
      case pb::BATCH_STATE_GATE:
        return gate(index);
      case pb::BATCH_STATE_DONE:
        if (terms_.drain > Duration::zero()) return begin_drain(index);
        return change(index, good);
      default:
        return change(index, good);
    }
  }

  const Snapshot& snapshot_;
  const pb::Rollout& rollout_;
  const WallTime now_;
  const DisruptionBudget budget_;
  const RolloutTerms terms_;
  RolloutStep step_;
};

}  // namespace

RolloutStep next_step(const Snapshot& snapshot, const pb::Rollout& rollout, WallTime now,
                      const DisruptionBudget& budget) {
  return Flow(snapshot, rollout, now, budget).take();
}

}  // namespace frameworks
