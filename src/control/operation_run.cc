#include "control/operation_run.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "base/log.h"

namespace frameworks {
namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLastRetry = std::chrono::seconds(5);

google::protobuf::Timestamp timestamp(WallTime time) {
  return google::protobuf::util::TimeUtil::MillisecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

// Removes all that have ended but the newest `keep`.
void prune(Transaction& transaction, size_t keep) {
  std::vector<std::shared_ptr<const pb::Operation>> ended;
  for (auto& operation : transaction.snapshot().list<pb::Operation>())
    if (has_ended(*operation)) ended.push_back(std::move(operation));
  if (ended.size() <= keep) return;
  const auto ends_before = [](const auto& a, const auto& b) {
    return a->metadata().revision() < b->metadata().revision();
  };
  std::sort(ended.begin(), ended.end(), ends_before);
  for (size_t i = 0; i + keep < ended.size(); ++i)
    transaction.remove({"Operation", "", ended[i]->metadata().name()});
}

}  // namespace

bool has_ended(const pb::Operation& operation) {
  const pb::OperationState state = operation.status().state();
  return state != pb::OPERATION_STATE_UNSPECIFIED && state != pb::OPERATION_STATE_RUNNING;
}

void OperationContext::progress(const std::string& object, int64_t done, int64_t total) {
  pb::OperationEvent event;
  event.set_object(object);
  event.set_done(done);
  event.set_total(total);
  emit(std::move(event));
}

OperationRun::OperationRun(Store& store, Clock& clock, PokeList& pokes, OperationJournal journal,
                           std::string name, std::stop_token stop, std::stop_token shutdown)
    : store_(store),
      clock_(clock),
      pokes_(pokes),
      journal_(std::move(journal)),
      name_(std::move(name)),
      stop_(std::move(stop)),
      shutdown_(std::move(shutdown)) {}

pb::Operation OperationRun::current() const {
  const auto* found = store_.snapshot()->find<pb::Operation>(name_);
  return found == nullptr ? pb::Operation() : *found;
}

Status OperationRun::change(const std::function<void(pb::Operation&)>& edit, size_t keep) {
  const auto transact = [&](Transaction& transaction) -> Status {
    const auto* found = transaction.snapshot().find<pb::Operation>(name_);
    if (found == nullptr)
      return Error(Code::kNotFound, fmt::format("operation \"{}\" is gone", name_));
    pb::Operation operation = *found;
    edit(operation);
    transaction.put(std::move(operation));
    if (keep > 0) prune(transaction, keep);
    return {};
  };
  for (Duration wait = kFirstRetry;; wait = std::min(2 * wait, kLastRetry)) {
    const auto written = store_.write(kOperationsActor, transact);
    if (written) return {};
    if (!is_retryable(written.error().code())) return written.error();
    if (!clock_.sleep_for(wait, shutdown_)) return written.error();
  }
}

void OperationRun::emit(pb::OperationEvent event) {
  *event.mutable_time() = timestamp(clock_.wall());
  if (event.layer().empty()) event.set_layer(layer_);
  if (event.elapsed_ms() == 0)
    event.set_elapsed_ms(
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_.mono() - step_began_).count());
  const Status written =
      journal_.with([&](OperationJournal& journal) { return journal.append(event); });
  // Progress is for people: an event less is no reason to stop the work it tells of.
  if (!written) spdlog::warn("operation {}: {}", name_, written.error().message());
  pokes_.poke();
}

void OperationRun::tell(pb::OperationEventResult result, const std::string& message) {
  pb::OperationEvent event;
  event.set_result(result);
  event.set_message(message);
  emit(std::move(event));
}

Status OperationRun::begin(const std::vector<Step>& steps) {
  const auto now = timestamp(clock_.wall());
  return change([&](pb::Operation& operation) {
    if (has_ended(operation)) return;
    pb::OperationStatus& status = *operation.mutable_status();
    status.set_state(pb::OPERATION_STATE_RUNNING);
    status.set_attempts(status.attempts() + 1);
    if (!status.has_start_time()) *status.mutable_start_time() = now;
    // A newer program may have other steps: those of the same name keep what they had.
    google::protobuf::RepeatedPtrField<pb::OperationStep> old;
    old.Swap(status.mutable_steps());
    for (const Step& step : steps) {
      const auto same = std::find_if(old.begin(), old.end(),
                                     [&](const auto& each) { return each.name() == step.name; });
      pb::OperationStep& added = *status.add_steps();
      if (same != old.end()) added = *same;
      added.set_name(step.name);
      added.set_layer(step.layer);
    }
  });
}

Status OperationRun::end_step(int index, pb::OperationState state, const std::string& message) {
  if (const Status synced = journal_.with([](OperationJournal& journal) { return journal.sync(); });
      !synced)
    spdlog::warn("operation {}: {}", name_, synced.error().message());
  const auto now = timestamp(clock_.wall());
  return change([&](pb::Operation& operation) {
    pb::OperationStep& step = *operation.mutable_status()->mutable_steps(index);
    step.set_state(state);
    step.set_message(message);
    *step.mutable_end_time() = now;
  });
}

OperationRun::Outcome OperationRun::run_step(const Step& step, int index, std::string& error) {
  const auto now = timestamp(clock_.wall());
  const Status begun = change([&](pb::Operation& operation) {
    pb::OperationStep& changed = *operation.mutable_status()->mutable_steps(index);
    changed.set_state(pb::OPERATION_STATE_RUNNING);
    if (!changed.has_start_time()) *changed.mutable_start_time() = now;
  });
  if (!begun) {
    error = begun.error().message();
    return Outcome::kInterrupted;
  }
  layer_ = step.layer;
  step_began_ = clock_.mono();
  tell(pb::OPERATION_EVENT_RESULT_STARTED, step.name);
  const Status done = step.run(*this);
  if (done) {
    tell(pb::OPERATION_EVENT_RESULT_OK, step.name);
    const Status ended = end_step(index, pb::OPERATION_STATE_SUCCEEDED, "");
    if (!ended) error = ended.error().message();
    return ended ? Outcome::kSucceeded : Outcome::kInterrupted;
  }
  if (shutdown_.stop_requested()) return Outcome::kInterrupted;
  error = stop_.stop_requested() ? "" : fmt::format("{}: {}", step.name, done.error().text());
  const bool is_cancelled = stop_.stop_requested();
  tell(pb::OPERATION_EVENT_RESULT_FAILED, is_cancelled ? step.name + " was cancelled" : error);
  const Status ended =
      end_step(index, is_cancelled ? pb::OPERATION_STATE_CANCELLED : pb::OPERATION_STATE_FAILED,
               is_cancelled ? "cancelled" : done.error().text());
  if (!ended) return Outcome::kInterrupted;
  return is_cancelled ? Outcome::kCancelled : Outcome::kFailed;
}

Status OperationRun::end(Outcome outcome, const std::string& error, size_t keep) {
  const auto now = timestamp(clock_.wall());
  const Status ended = change(
      [&](pb::Operation& operation) {
        if (has_ended(operation)) return;
        pb::OperationStatus& status = *operation.mutable_status();
        status.set_state(outcome == Outcome::kSucceeded   ? pb::OPERATION_STATE_SUCCEEDED
                         : outcome == Outcome::kCancelled ? pb::OPERATION_STATE_CANCELLED
                                                          : pb::OPERATION_STATE_FAILED);
        status.set_error(error);
        *status.mutable_end_time() = now;
        for (pb::OperationStep& step : *status.mutable_steps())  // interrupted, then cancelled
          if (step.state() == pb::OPERATION_STATE_RUNNING) step.set_state(status.state());
      },
      keep);
  pokes_.poke();
  return ended;
}

Status OperationRun::run(const std::vector<Step>& steps, size_t keep) {
  RETURN_IF_ERROR(begin(steps));
  const pb::Operation operation = current();
  if (has_ended(operation)) return {};
  revision_ = operation.spec().revision();
  if (operation.status().attempts() > 1) {
    step_began_ = clock_.mono();
    tell(pb::OPERATION_EVENT_RESULT_STARTED,
         fmt::format("taken up again, attempt {}", operation.status().attempts()));
  }
  Outcome outcome = Outcome::kSucceeded;
  std::string error;
  for (size_t i = 0; i < steps.size() && outcome == Outcome::kSucceeded; ++i) {
    const int index = static_cast<int>(i);
    if (operation.status().steps(index).state() == pb::OPERATION_STATE_SUCCEEDED) continue;
    if (shutdown_.stop_requested()) return {};
    outcome = stop_.stop_requested() || operation.spec().cancelled()
                  ? Outcome::kCancelled
                  : run_step(steps[i], index, error);
  }
  if (outcome == Outcome::kInterrupted)
    return shutdown_.stop_requested() ? Status() : Error(Code::kUnavailable, error);
  return end(outcome, error, keep);
}

}  // namespace frameworks
