#include "server/converge_step.h"

#include <fmt/format.h>

#include <set>

#include "base/text.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/words.h"
#include "server/unfinished.h"

namespace frameworks {
namespace {

// Convergence is looked at this often; it is written nowhere.
constexpr Duration kLook = std::chrono::milliseconds(50);

void tell(OperationContext& context, const std::string& node, const std::string& message,
          int64_t done, int64_t total) {
  pb::OperationEvent event;
  event.set_object(node);
  event.set_message(message);
  event.set_result(pb::OPERATION_EVENT_RESULT_OK);
  event.set_done(done);
  event.set_total(total);
  context.emit(std::move(event));
}

// Since this operation configured what there was: it is the next one's, which waits for this one.
bool came_later(const pb::Node& node) {
  return !has_joined(node) && node.status().configuration().version().empty();
}

}  // namespace

std::string why_not_converged(const Snapshot& snapshot, const pb::Node& node, bool sent) {
  if (!has_joined(node)) return "has not joined yet";
  const pb::NodeHealth& health = node.status().health();
  if (health.state() != pb::HEALTH_HEALTHY)
    return fmt::format("is {}{}{}", word(health.state()).empty() ? "unknown" : word(health.state()),
                       health.reason().empty() ? "" : ": ", health.reason());
  if (!sent) return "has not acknowledged the newest plan yet";
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name()))
    if (instance->status().state() != pb::HEALTH_HEALTHY)
      return fmt::format(
          "{}: {}", instance->metadata().name(),
          instance->status().reason().empty() ? "not checked yet" : instance->status().reason());
  return {};
}

Status ConvergeStep::run(OperationContext& context) const {
  const MonoTime deadline = context.clock().mono() + timeout;
  std::set<std::string> told;
  while (true) {
    const SnapshotPtr snapshot = context.store().snapshot();
    std::string waiting;
    int64_t total = 0;
    std::vector<std::string> converged;
    for (const auto& node : snapshot->list<pb::Node>()) {
      if (is_switched_off(*node) || came_later(*node)) continue;
      ++total;
      const std::string& name = node->metadata().name();
      const std::string why = why_not_converged(*snapshot, *node, sessions.converged(name));
      if (why.empty())
        converged.push_back(name);
      else
        waiting += fmt::format("{}{}: {}", waiting.empty() ? "" : "; ", name, why);
    }
    for (const std::string& name : converged)
      if (told.insert(name).second)
        tell(context, name, "joined, healthy, has its plan", static_cast<int64_t>(told.size()),
             total);
    if (waiting.empty()) return {};
    if (context.clock().mono() >= deadline)
      return Error(Code::kDeadlineExceeded,
                   fmt::format("after {} still waiting for {}", human_duration(timeout), waiting));
    if (!context.clock().sleep_for(kLook, context.stop()))
      return Error(Code::kCancelled, "cancelled while nodes were converging");
  }
}

}  // namespace frameworks
