#include "server/configure_step.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <set>

#include "base/log.h"
#include "frameworks/v1/node.pb.h"
#include "runtime/inventory/inventory.h"
#include "runtime/sessions/join.h"
#include "server/unfinished.h"

namespace frameworks {
namespace {

pb::OperationEventResult result_of(TaskResult result) {
  switch (result) {
    case TaskResult::kStarted:
      return pb::OPERATION_EVENT_RESULT_STARTED;
    case TaskResult::kOk:
      return pb::OPERATION_EVENT_RESULT_OK;
    case TaskResult::kChanged:
      return pb::OPERATION_EVENT_RESULT_CHANGED;
    case TaskResult::kSkipped:
      return pb::OPERATION_EVENT_RESULT_SKIPPED;
    case TaskResult::kFailed:
    case TaskResult::kUnreachable:
      return pb::OPERATION_EVENT_RESULT_FAILED;
  }
  return pb::OPERATION_EVENT_RESULT_UNSPECIFIED;
}

pb::OperationEvent event_of(const ConfigureEvent& from) {
  pb::OperationEvent event;
  event.set_object(from.host);
  event.set_message(fmt::format("task {}{}{}{}{}", from.role, from.role.empty() ? "" : " : ",
                                from.task, from.message.empty() ? "" : ": ", from.message));
  event.set_result(result_of(from.result));
  return event;
}

// Bound to the node, good once, for an hour.
Result<std::string> make_token(Store& store, const pb::Node& node) {
  pb::CreateJoinTokenRequest request;
  request.set_cluster(node.spec().cluster());
  request.set_node(node.metadata().name());
  ASSIGN_OR_RETURN(const auto token, create_join_token(store, "system/apply", request));
  return token.token();
}

Status record(Store& store, const std::string& name, const std::string& version,
              const HostOutcome& outcome) {
  const auto written = store.write("system/apply", [&](Transaction& transaction) -> Status {
    const auto* found = transaction.snapshot().find<pb::Node>(name);
    if (found == nullptr) return {};
    pb::Node node = *found;
    auto& configuration = *node.mutable_status()->mutable_configuration();
    configuration.set_error(outcome.error);
    if (outcome.converged) {
      configuration.set_version(version);
      *configuration.mutable_apply_time() =
          google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
              std::chrono::duration_cast<Duration>(transaction.time().time_since_epoch()).count());
    }
    transaction.put(std::move(node));
    return {};
  });
  if (!written) return written.error();
  return {};
}

// The nodes that the operation is limited to; empty: it is not.
std::set<std::string> nodes_of(const Snapshot& snapshot, const std::string& name) {
  const auto* operation = snapshot.find<pb::Operation>(name);
  if (operation == nullptr) return {};
  return {operation->spec().nodes().begin(), operation->spec().nodes().end()};
}

// Counts the hosts that are done, for progress, and forwards the events.
std::function<void(const ConfigureEvent&)> forward(OperationContext& context) {
  return [&context](const ConfigureEvent& event) {
    // A task begun says little, ten of them a second hide what matters.
    if (event.result != TaskResult::kStarted) context.emit(event_of(event));
  };
}

}  // namespace

Result<std::unique_lock<std::timed_mutex>> ConfigureTurn::wait(std::stop_token stop) {
  std::unique_lock lock(mutex_, std::defer_lock);
  while (!lock.try_lock_for(std::chrono::milliseconds(100)))
    if (stop.stop_requested())
      return Error(Code::kCancelled, "cancelled while another operation configured hosts");
  return lock;
}

Status ConfigureStep::run(OperationContext& context) const {
  // Before the snapshot: what an earlier run brought there is done.
  ASSIGN_OR_RETURN(const auto lock, turn->wait(context.stop()));
  const SnapshotPtr snapshot = context.store().snapshot();
  ConfigureRun run;
  std::map<std::string, std::string> versions;
  const std::set<std::string> only = nodes_of(*snapshot, context.operation());
  for (const auto& node : snapshot->list<pb::Node>()) {
    const std::string& name = node->metadata().name();
    if (is_switched_off(*node)) continue;
    if (only.empty() ? !needs_configuration(*snapshot, *node) : !only.contains(name)) continue;
    run.hosts.push_back(name);
    versions[name] = host_version(*snapshot, *node);
    if (!node->status().machine().ssh_host_key().empty())
      run.host_keys[name] = node->status().machine().ssh_host_key();
    if (!has_joined(*node)) {
      ASSIGN_OR_RETURN(run.join_tokens[name], make_token(context.store(), *node));
    }
  }
  if (run.hosts.empty()) return {};
  context.progress("", 0, static_cast<int64_t>(run.hosts.size()));
  run.inventory = inventory_json(*snapshot, run.hosts);
  run.agent_server = agent_server;
  run.agent_ca = agent_ca;
  run.stop = context.stop();
  run.on_event = forward(context);
  ASSIGN_OR_RETURN(const ConfigureOutcome outcome, configurator.configure(run));
  int64_t done = 0;
  for (const auto& [host, result] : outcome.hosts) {
    RETURN_IF_ERROR(record(context.store(), host, versions[host], result));
    if (result.converged) context.progress(host, ++done, static_cast<int64_t>(run.hosts.size()));
  }
  if (!outcome.converged()) return Error(Code::kInternal, outcome.error());
  return {};
}

}  // namespace frameworks
