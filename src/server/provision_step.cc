#include "server/provision_step.h"

#include <fmt/format.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/ip.h"
#include "base/locked.h"
#include "base/log.h"
#include "frameworks/v1/cluster.pb.h"
#include "server/machine_power.h"
#include "server/unfinished.h"

namespace frameworks {
namespace {

// Local machines of all clusters share one flat network of this size.
constexpr int kFabricPrefix = 16;
constexpr size_t kAtOnce = 8;

void tell(OperationContext& context, const std::string& node, pb::OperationEventResult result,
          const std::string& message, int64_t done, int64_t total) {
  pb::OperationEvent event;
  event.set_object(node);
  event.set_result(result);
  event.set_message(message);
  event.set_done(done);
  event.set_total(total);
  context.emit(std::move(event));
}

// The first address of the network that the machines are in, e.g. "10.99.0.1".
std::string first_address(const Snapshot& snapshot) {
  for (const auto& node : local_nodes(snapshot))
    if (const auto address = IpAddress::parse(node->spec().address()))
      return Cidr(*address, kFabricPrefix).network().address().plus(1).text();
  return {};
}

bool is_off(OperationContext& context, const std::string& name) {
  const SnapshotPtr snapshot = context.store().snapshot();
  const auto* node = snapshot->find<pb::Node>(name);
  return node != nullptr && is_switched_off(*node);
}

// One machine, and what became of it in the store.
Status ensure_machine(const ProvisionStep& step, OperationContext& context,
                      const v1::MachineSpec& spec, std::atomic<int64_t>& done, int64_t total) {
  const std::string& name = spec.name();
  const auto stays_off = [&] {
    tell(context, name, pb::OPERATION_EVENT_RESULT_OK, "was switched off meanwhile: stays off",
         done.fetch_add(1) + 1, total);
    return Status();
  };
  if (is_off(context, name)) return stays_off();
  auto ensured = step.machines.ensure(spec);
  if (!ensured) {
    if (is_off(context, name)) return stays_off();
    const std::string& why = ensured.error().message();
    tell(context, name, pb::OPERATION_EVENT_RESULT_FAILED, why, done.load(), total);
    RETURN_IF_ERROR(record_failed(context.store(), "system/apply", name, why));
    return ensured.error().with_context(name);
  }
  ASSIGN_OR_RETURN(const bool runs, record_running(context.store(), "system/apply", name,
                                                   ensured->machine.ssh_host_key()));
  if (!runs && is_off(context, name)) {
    // Who switched it off may have been before ensure(), which then has switched it on.
    const auto off = step.machines.set_power(name, v1::MACHINE_POWER_OFF);
    if (!off) return off.error().with_context(name);
    return stays_off();
  }
  tell(context, name,
       ensured->created ? pb::OPERATION_EVENT_RESULT_CHANGED : pb::OPERATION_EVENT_RESULT_OK,
       ensured->created ? "machine made, SSH answers" : "machine is there", done.fetch_add(1) + 1,
       total);
  return {};
}

Status ensure_machines(const ProvisionStep& step, OperationContext& context,
                       const std::vector<v1::MachineSpec>& specs) {
  std::atomic<size_t> next{0};
  std::atomic<int64_t> done{0};
  Locked<std::string> errors;
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < std::min(kAtOnce, specs.size()); ++i)
      threads.emplace_back([&] {
        for (size_t at = next++; at < specs.size() && !context.stop().stop_requested();
             at = next++) {
          const Status status =
              ensure_machine(step, context, specs[at], done, static_cast<int64_t>(specs.size()));
          if (status) continue;
          errors.with([&](std::string& text) {
            text += (text.empty() ? "" : "; ") + status.error().message();
          });
        }
      });
  }
  if (context.stop().stop_requested())
    return Error(Code::kCancelled, "cancelled while machines were made");
  const std::string text = errors.with([](const std::string& all) { return all; });
  if (!text.empty()) return Error(Code::kInternal, text);
  return {};
}

Status remove_others(const ProvisionStep& step, OperationContext& context,
                     const std::set<std::string>& wanted) {
  ASSIGN_OR_RETURN(const auto present, step.machines.list());
  for (const v1::LocalMachine& machine : present) {
    const std::string& name = machine.spec().name();
    if (wanted.contains(name)) continue;
    RETURN_IF_ERROR(step.machines.remove(name));
    tell(context, name, pb::OPERATION_EVENT_RESULT_CHANGED, "machine removed", 0, 0);
  }
  return {};
}

}  // namespace

std::vector<std::shared_ptr<const pb::Node>> local_nodes(const Snapshot& snapshot) {
  std::vector<std::shared_ptr<const pb::Node>> out;
  for (const auto& node : snapshot.list<pb::Node>()) {
    const auto* pool = snapshot.find<pb::MachinePool>(node->spec().pool());
    if (pool != nullptr && (pool->spec().provider().empty() || pool->spec().provider() == "local"))
      out.push_back(node);
  }
  return out;
}

v1::EnsureFabricRequest fabric_of(const Snapshot& snapshot, const std::string& host_address) {
  v1::EnsureFabricRequest out;
  out.set_host_address(fmt::format(
      "{}/{}", host_address.empty() ? first_address(snapshot) : host_address, kFabricPrefix));
  std::map<std::string, v1::RegionLink> links;
  for (const auto& pool : snapshot.list<pb::MachinePool>()) {
    const auto* cluster = snapshot.find<pb::Cluster>(pool->spec().cluster());
    if (cluster == nullptr ||
        (!pool->spec().provider().empty() && pool->spec().provider() != "local"))
      continue;
    v1::RegionLink& link = links[cluster->spec().region()];
    link.set_region(cluster->spec().region());
    if (pool->spec().local().has_wan_delay())
      *link.mutable_delay() = pool->spec().local().wan_delay();
  }
  for (auto& [region, link] : links) *out.add_links() = std::move(link);
  return out;
}

v1::MachineSpec machine_spec(const Snapshot& snapshot, const pb::Node& node,
                             const std::vector<std::string>& authorized_keys) {
  v1::MachineSpec out;
  out.set_name(node.metadata().name());
  out.set_address(fmt::format("{}/{}", node.spec().address(), kFabricPrefix));
  if (const auto* cluster = snapshot.find<pb::Cluster>(node.spec().cluster()))
    out.set_region(cluster->spec().region());
  if (const auto* pool = snapshot.find<pb::MachinePool>(node.spec().pool())) {
    out.set_cpus(pool->spec().size().cpus());
    out.set_memory_mb(pool->spec().size().memory_mb());
  }
  for (const std::string& key : authorized_keys) out.add_authorized_keys(key);
  return out;
}

Status ProvisionStep::run(OperationContext& context) const {
  const SnapshotPtr snapshot = context.store().snapshot();
  std::set<std::string> wanted;
  std::vector<v1::MachineSpec> specs;
  for (const auto& node : local_nodes(*snapshot)) {
    wanted.insert(node->metadata().name());
    if (!is_switched_off(*node)) specs.push_back(machine_spec(*snapshot, *node, authorized_keys));
  }
  // Removed first: a machine that is gone frees its address and memory for the next.
  RETURN_IF_ERROR(remove_others(*this, context, wanted));
  if (wanted.empty()) return {};
  const auto fabric = machines.ensure_fabric(fabric_of(*snapshot, host_address));
  if (!fabric) return fabric.error().with_context("network of the machines");
  return ensure_machines(*this, context, specs);
}

}  // namespace frameworks
