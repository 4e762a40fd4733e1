#include "server/unfinished.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "runtime/inventory/inventory.h"

namespace frameworks {
namespace {

// The apply that was asked for last; null: never.
std::shared_ptr<const pb::Operation> last_apply(const Snapshot& snapshot) {
  std::shared_ptr<const pb::Operation> last;
  for (const auto& operation : snapshot.list<pb::Operation>()) {
    if (operation->spec().type() != "apply") continue;
    if (last == nullptr ||
        google::protobuf::util::TimeUtil::TimestampToNanoseconds(last->metadata().create_time()) <=
            google::protobuf::util::TimeUtil::TimestampToNanoseconds(
                operation->metadata().create_time()))
      last = operation;
  }
  return last;
}

bool needs_work(const Snapshot& snapshot, const pb::Node& node) {
  if (is_switched_off(node)) return false;
  const bool lacks_machine =
      !node.spec().pool().empty() && node.status().machine().state() != pb::MACHINE_STATE_RUNNING;
  return lacks_machine || needs_configuration(snapshot, node);
}

}  // namespace

bool is_switched_off(const pb::Node& node) {
  return node.status().machine().state() == pb::MACHINE_STATE_STOPPED;
}

bool has_joined(const pb::Node& node) {
  return !node.status().agent().wireguard_public_key().empty();
}

bool needs_configuration(const Snapshot& snapshot, const pb::Node& node) {
  // A run that failed may have been half through: what the host had before says little.
  return !has_joined(node) || !node.status().configuration().error().empty() ||
         node.status().configuration().version() != host_version(snapshot, node);
}

Unfinished unfinished_work(const Snapshot& snapshot) {
  Unfinished out;
  const auto last = last_apply(snapshot);
  if (last != nullptr) {
    const pb::OperationState state = last->status().state();
    if (state == pb::OPERATION_STATE_RUNNING || state == pb::OPERATION_STATE_UNSPECIFIED) {
      out.running = last->metadata().name();
      return out;
    }
    out.incomplete = state != pb::OPERATION_STATE_SUCCEEDED;
  }
  const auto nodes = snapshot.list<pb::Node>();
  out.incomplete |= std::any_of(nodes.begin(), nodes.end(),
                                [&](const auto& node) { return needs_work(snapshot, *node); });
  return out;
}

}  // namespace frameworks
