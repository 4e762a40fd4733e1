#include "server/machine_power.h"

#include <fmt/format.h>

#include <functional>

namespace frameworks {
namespace {

// Changes Node.status.machine where `change` returns true; true: it did.
Result<bool> update(Store& store, const Actor& actor, const std::string& node,
                    const std::function<bool(pb::MachineStatus&)>& change) {
  bool changed = false;
  const auto written = store.write(actor, [&](Transaction& transaction) -> Status {
    changed = false;
    const auto* found = transaction.snapshot().find<pb::Node>(node);
    if (found == nullptr) return {};
    pb::Node copy = *found;
    changed = change(*copy.mutable_status()->mutable_machine());
    if (changed) transaction.put(std::move(copy));
    return {};
  });
  if (!written) return written.error();
  return changed;
}

void set_running(pb::MachineStatus& machine, const std::string& ssh_host_key) {
  machine.set_state(pb::MACHINE_STATE_RUNNING);
  machine.clear_message();
  if (!ssh_host_key.empty()) machine.set_ssh_host_key(ssh_host_key);
}

Status switch_off(Store& store, provisioning::Machines& machines, const Actor& actor,
                  const std::string& node, const std::string& who) {
  const std::string message = fmt::format("switched off by {}", who);
  pb::MachineStatus before;
  ASSIGN_OR_RETURN(const bool recorded, update(store, actor, node, [&](auto& machine) {
    before = machine;
    if (machine.state() == pb::MACHINE_STATE_UNSPECIFIED) return false;
    machine.set_state(pb::MACHINE_STATE_STOPPED);
    machine.set_message(message);
    return true;
  }));
  if (!recorded)
    return Error(Code::kFailedPrecondition,
                 fmt::format("Node/{}: its machine is not made yet: try again when the apply that "
                             "makes it has ended",
                             node));
  const auto switched = machines.set_power(node, v1::MACHINE_POWER_OFF);
  if (switched) return {};
  // Not what others wrote since.
  RETURN_IF_ERROR(update(store, actor, node, [&](auto& machine) {
    const bool mine =
        machine.state() == pb::MACHINE_STATE_STOPPED && machine.message() == message;
    if (mine) machine = before;
    return mine;
  }));
  return switched.error();
}

}  // namespace

Result<bool> record_running(Store& store, const Actor& actor, const std::string& node,
                            const std::string& ssh_host_key) {
  return update(store, actor, node, [&](auto& machine) {
    if (machine.state() == pb::MACHINE_STATE_STOPPED) return false;
    set_running(machine, ssh_host_key);
    return true;
  });
}

Status record_failed(Store& store, const Actor& actor, const std::string& node,
                     const std::string& message) {
  RETURN_IF_ERROR(update(store, actor, node, [&](auto& machine) {
    if (machine.state() == pb::MACHINE_STATE_STOPPED) return false;
    machine.set_state(pb::MACHINE_STATE_FAILED);
    machine.set_message(message);
    return true;
  }));
  return {};
}

Status switch_power(Store& store, provisioning::Machines& machines, const Actor& actor,
                    const std::string& node, bool on, const std::string& who) {
  if (!on) return switch_off(store, machines, actor, node, who);
  const auto switched = machines.set_power(node, v1::MACHINE_POWER_ON);
  if (!switched) return switched.error();
  RETURN_IF_ERROR(update(store, actor, node, [&](auto& machine) {
    set_running(machine, switched->ssh_host_key());
    return true;
  }));
  return {};
}

}  // namespace frameworks
