#include "runtime/orchestration/rollout_change.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "control/operations.h"
#include "frameworks/v1/node.pb.h"
#include "model/availability.h"
#include "model/words.h"
#include "runtime/orchestration/rollout_batch.h"
#include "runtime/orchestration/rollout_plan.h"

namespace frameworks {
namespace {

constexpr size_t kKeep = 10;

void drain_nodes(Transaction& transaction, const RolloutStep& step, const pb::Rollout& rollout) {
  if (step.drain.empty()) return;
  const Duration drain = rollout_terms(transaction.snapshot(), rollout).drain;
  for (const std::string& name : step.drain) {
    const auto* found = transaction.snapshot().find<pb::Node>(name);
    if (found == nullptr) continue;
    pb::Node node = *found;
    node.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
    *node.mutable_spec()->mutable_drain_deadline() = batch_time(transaction.time() + drain);
    (*node.mutable_metadata()->mutable_annotations())[kDrainedBy] = rollout.metadata().name();
    transaction.put(std::move(node));
  }
}

void resume_nodes(Transaction& transaction, const RolloutStep& step) {
  for (const std::string& name : step.resume) {
    const auto* found = transaction.snapshot().find<pb::Node>(name);
    if (found == nullptr) continue;
    pb::Node node = *found;
    node.mutable_spec()->set_availability(pb::AVAILABILITY_ACTIVE);
    node.mutable_spec()->clear_drain_deadline();
    node.mutable_metadata()->mutable_annotations()->erase(kDrainedBy);
    transaction.put(std::move(node));
  }
}

void set_versions(Transaction& transaction, const RolloutStep& step) {
  for (const std::string& name : step.instances) {
    const auto* found = transaction.snapshot().find<pb::Instance>(name);
    if (found == nullptr || found->spec().version() == step.version) continue;
    pb::Instance instance = *found;
    instance.mutable_spec()->set_version(step.version);
    transaction.put(std::move(instance));
  }
}

void set_service_version(Transaction& transaction, const RolloutStep& step,
                         const std::string& name) {
  const auto* found = transaction.snapshot().find<pb::Service>(name);
  if (!step.service_version || found == nullptr || found->spec().version() == *step.service_version)
    return;
  pb::Service service = *found;
  service.mutable_spec()->set_version(*step.service_version);
  transaction.put(std::move(service));
}

std::string told(const pb::Rollout& before, const pb::RolloutStatus& after) {
  if (before.status().state() == after.state()) return {};
  return fmt::format("rollout {}: {}{}{}", before.metadata().name(), word(after.state()),
                     after.message().empty() ? "" : ": ", after.message());
}

}  // namespace

RolloutMove move_rollout(Transaction& transaction, const std::string& name,
                         const DisruptionBudget& budget) {
  RolloutMove move;
  const auto* found = transaction.snapshot().find<pb::Rollout>(name);
  if (found == nullptr || has_ended(*found)) return move;
  const pb::Rollout before = *found;
  RolloutStep step = next_step(transaction.snapshot(), before, transaction.time(), budget);
  move.again = step.again;
  move.told = told(before, step.status);
  drain_nodes(transaction, step, before);
  resume_nodes(transaction, step);
  set_versions(transaction, step);
  set_service_version(transaction, step, before.spec().service());
  if (!step.configure.empty()) {
    step.status.mutable_batches(step.batch)
        ->set_operation(
            Operations::enqueue(transaction, "configure", 0, kOrchestrationActor, step.configure));
    move.queued_operation = true;
  }
  pb::Rollout after = before;
  *after.mutable_status() = std::move(step.status);
  move.wrote = !google::protobuf::util::MessageDifferencer::Equals(before, after);
  if (!move.wrote) return move;
  const bool ended = has_ended(after);
  transaction.put(std::move(after));
  if (ended) drop_rollouts(transaction, before.spec().service());
  return move;
}

void drop_rollouts(Transaction& transaction, const std::string& service) {
  const Snapshot& now = transaction.snapshot();
  std::vector<std::string> gone;
  std::vector<std::pair<WallTime, std::string>> ended;
  const bool has_service = now.find<pb::Service>(service) != nullptr;
  for (const auto& rollout : now.find_by<pb::Rollout>("service", service)) {
    if (!has_service)
      gone.push_back(rollout->metadata().name());
    else if (has_ended(*rollout))
      ended.emplace_back(time_of(rollout->status().end_time()), rollout->metadata().name());
  }
  std::sort(ended.begin(), ended.end());
  for (size_t i = 0; i + kKeep < ended.size(); ++i) gone.push_back(ended[i].second);
  for (const std::string& name : gone) transaction.remove({"Rollout", "", name});
}

}  // namespace frameworks
