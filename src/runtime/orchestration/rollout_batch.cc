#include "runtime/orchestration/rollout_batch.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "frameworks/v1/node.pb.h"
#include "model/availability.h"
#include "model/words.h"
#include "runtime/orchestration/placement_plan.h"
#include "runtime/orchestration/rollout_plan.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

bool is_reachable(const Snapshot& snapshot, const std::string& name) {
  const auto* node = snapshot.find<pb::Node>(name);
  return node != nullptr && node->status().health().state() != pb::HEALTH_DOWN &&
         node->status().machine().state() != pb::MACHINE_STATE_STOPPED;
}

bool is_changing(const pb::RolloutBatch& batch) {
  return batch.state() == pb::BATCH_STATE_DRAINING ||
         batch.state() == pb::BATCH_STATE_CONFIGURING || batch.state() == pb::BATCH_STATE_GATE;
}

}  // namespace

google::protobuf::Timestamp batch_time(WallTime time) {
  return TimeUtil::MicrosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count());
}

WallTime time_of(const google::protobuf::Timestamp& time) {
  return WallTime(std::chrono::microseconds(TimeUtil::TimestampToMicroseconds(time)));
}

std::vector<std::string> batch_instances(const Snapshot& snapshot, const pb::Rollout& rollout,
                                         const pb::RolloutBatch& batch) {
  std::vector<std::string> out;
  for (const std::string& node : batch.nodes()) {
    std::string name = instance_name(rollout.spec().service(), node);
    if (snapshot.find<pb::Instance>(name) != nullptr) out.push_back(std::move(name));
  }
  return out;
}

std::vector<std::string> reachable_nodes(const Snapshot& snapshot, const pb::RolloutBatch& batch) {
  std::vector<std::string> out;
  for (const std::string& name : batch.nodes())
    if (is_reachable(snapshot, name)) out.push_back(name);
  return out;
}

bool is_away(const Snapshot& snapshot, const std::string& name) {
  const auto* instance = snapshot.find<pb::Instance>(name);
  if (instance == nullptr) return true;
  const pb::Health state = instance->status().state();
  return state != pb::HEALTH_HEALTHY && state != pb::HEALTH_DEGRADED && state != pb::HEALTH_SUSPECT;
}

bool is_away_on_purpose(const Snapshot& snapshot, const pb::Instance& instance) {
  const auto* node = snapshot.find<pb::Node>(instance.spec().node());
  return node == nullptr || node->status().machine().state() == pb::MACHINE_STATE_STOPPED ||
         node->spec().availability() == pb::AVAILABILITY_MAINTENANCE;
}

int nodes_under_change(const Snapshot& snapshot, const std::string& except) {
  int count = 0;
  for (const auto& rollout : snapshot.list<pb::Rollout>()) {
    if (rollout->metadata().name() == except || !is_under_way(*rollout)) continue;
    for (const pb::RolloutBatch& batch : rollout->status().batches())
      count += is_changing(batch) ? batch.nodes_size() : 0;
  }
  return count;
}

std::string drain_waits_for(const Snapshot& snapshot, const pb::RolloutBatch& batch) {
  int64_t sessions = 0;
  std::string waiting;
  for (const std::string& name : batch.nodes()) {
    const auto* node = snapshot.find<pb::Node>(name);
    // What is away, or was resumed by somebody, is not waited for.
    if (node == nullptr || !is_reachable(snapshot, name) || takes_work(*node)) continue;
    const pb::DrainStatus& drain = node->status().drain();
    if (drain.state() == pb::DRAIN_STATE_DRAINED || drain.state() == pb::DRAIN_STATE_EXPIRED)
      continue;
    sessions += std::max<int64_t>(0, drain.sessions());
    waiting += (waiting.empty() ? "" : ", ") + name;
  }
  if (waiting.empty()) return {};
  return sessions == 0 ? fmt::format("{} is being drained", waiting)
                       : fmt::format("{} is being drained: {} {} left", waiting, sessions,
                                     sessions == 1 ? "session is" : "sessions are");
}

std::string why_not_configured(const Snapshot& snapshot, const pb::RolloutBatch& batch,
                               const pb::Operation& operation) {
  const pb::OperationStatus& status = operation.status();
  if (status.state() == pb::OPERATION_STATE_SUCCEEDED) return {};
  if (status.state() == pb::OPERATION_STATE_CANCELLED)
    return fmt::format("operation {} was cancelled", operation.metadata().name());
  // It may have failed for the nodes of another batch.
  for (const std::string& name : batch.nodes()) {
    const auto* node = snapshot.find<pb::Node>(name);
    if (node == nullptr) continue;
    const pb::ConfigurationStatus& configuration = node->status().configuration();
    if (!configuration.error().empty()) return name + ": " + configuration.error();
    if (configuration.apply_time() < status.start_time())
      return fmt::format("{}: {}", name, status.error());
  }
  return {};
}

GateView look_at_gate(const Snapshot& snapshot, const pb::Rollout& rollout,
                      const pb::RolloutBatch& batch) {
  GateView view;
  view.begun = time_of(batch.start_time());
  const auto* operation = snapshot.find<pb::Operation>(batch.operation());
  if (operation != nullptr && operation->status().has_end_time())
    view.begun = time_of(operation->status().end_time());
  if (batch.operation().empty()) return view;
  for (const std::string& node : batch.nodes()) {
    const auto* instance =
        snapshot.find<pb::Instance>(instance_name(rollout.spec().service(), node));
    if (instance == nullptr) continue;
    // Who was away when the batch began is not watched.
    const bool configured =
        operation == nullptr || operation->spec().nodes().empty() ||
        std::find(operation->spec().nodes().begin(), operation->spec().nodes().end(), node) !=
            operation->spec().nodes().end();
    if (!configured) continue;
    ++view.watched;
    if (instance->status().state() == pb::HEALTH_HEALTHY || !view.unhealthy.empty()) continue;
    const std::string state = word(instance->status().state());
    view.unhealthy = fmt::format(
        "{} is {}{}{}", instance->metadata().name(), state.empty() ? "not checked yet" : state,
        instance->status().reason().empty() ? "" : ": ", instance->status().reason());
  }
  return view;
}

}  // namespace frameworks
