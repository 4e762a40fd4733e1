// Nodes, the instances on them, and the clusters that they make up.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/time_util.h>

#include "frameworks/v1/cluster.pb.h"
#include "model/words.h"
#include "runtime/diagnosis/walk.h"
#include "runtime/inventory/inventory.h"
#include "runtime/tenants/tenant_context.h"

namespace frameworks {
namespace {

using Layer = Walk::Layer;
using google::protobuf::util::TimeUtil;

class NodeWalk {
 public:
  NodeWalk(const pb::Node& node, Walk& walk)
      : node_(node), name_(node.metadata().name()), key_{"Node", "", name_}, walk_(walk) {}

  void machine() {
    const pb::MachineStatus& machine = node_.status().machine();
    const std::string& address = node_.spec().address();
    if (node_.spec().pool().empty())
      walk_.ok(Layer::kMachine, key_, fmt::format("is a machine of yours at {}", address));
    else
      pool_machine(machine);
    if (address.empty()) wrong(Layer::kMachine, "has no address yet", "frameworks operation list");
    if (!node_.spec().pool().empty() && machine.state() == pb::MACHINE_STATE_RUNNING &&
        machine.ssh_host_key().empty())
      wrong(Layer::kMachine, "its SSH host key is not known: it is not configured without",
            "frameworks operation list");
  }

  void config() {
    const pb::ConfigurationStatus& configuration = node_.status().configuration();
    configured_ = !configuration.version().empty();
    if (!configuration.error().empty())
      wrong(Layer::kConfig, "cannot be configured: " + configuration.error(),
            "mend that, then apply the fleet again: frameworks apply -f DIRECTORY");
    else if (!configured_)
      joined()
          ? warn(Layer::kConfig, "was never configured by this server", "frameworks operation list")
          : wrong(Layer::kConfig, "was not configured yet", "frameworks operation list");
    else if (configuration.version() != host_version(walk_.snapshot(), node_))
      warn(Layer::kConfig, "has an older configuration than the model wants",
           "apply the fleet again: frameworks apply -f DIRECTORY");
    else
      walk_.ok(Layer::kConfig, key_, "is configured as the model wants");
  }

  void runtime() {
    if (!joined()) {
      walk_.add(Layer::kRuntime, key_, configured_ ? pb::FINDING_WRONG : pb::FINDING_UNKNOWN,
                "its agent has not joined",
                fmt::format("frameworks token create --cluster {} --node {}, then on the machine: "
                            "frameworks-agent join",
                            node_.spec().cluster(), name_));
      availability();
      return;
    }
    availability();
    health();
    plan();
  }

 private:
  void wrong(Layer layer, std::string message, std::string next) {
    walk_.add(layer, key_, pb::FINDING_WRONG, std::move(message), std::move(next));
  }
  void warn(Layer layer, std::string message, std::string next) {
    walk_.add(layer, key_, pb::FINDING_WARNING, std::move(message), std::move(next));
  }
  [[nodiscard]] bool joined() const { return node_.status().agent().has_join_time(); }

  void pool_machine(const pb::MachineStatus& machine) {
    const std::string why = machine.message().empty() ? "" : ": " + machine.message();
    switch (machine.state()) {
      case pb::MACHINE_STATE_RUNNING:
        return walk_.ok(Layer::kMachine, key_, "machine is running");
      case pb::MACHINE_STATE_PENDING:
        return warn(Layer::kMachine, "machine is being made" + why, "frameworks operation list");
      case pb::MACHINE_STATE_STOPPED:
        return wrong(Layer::kMachine, "machine is switched off" + why,
                     "frameworks node power-on " + name_);
      case pb::MACHINE_STATE_FAILED:
        return wrong(Layer::kMachine, "machine has failed" + why, "frameworks operation list");
      default:
        return wrong(Layer::kMachine, "has no machine yet", "frameworks operation list");
    }
  }

  void availability() {
    const pb::Availability availability = node_.spec().availability();
    if (availability != pb::AVAILABILITY_DRAINED && availability != pb::AVAILABILITY_MAINTENANCE)
      return;
    const pb::DrainStatus& drain = node_.status().drain();
    std::string text = availability == pb::AVAILABILITY_DRAINED
                           ? "is drained: it gets no new work"
                           : "is in maintenance: it gets no new work";
    if (!drain.message().empty()) text += "; " + drain.message();
    warn(Layer::kRuntime, text, "frameworks resume " + name_);
  }

  void health() {
    const pb::NodeHealth& health = node_.status().health();
    const std::string since =
        health.has_since() ? " since " + TimeUtil::ToString(health.since()) : std::string();
    const std::string why = health.reason().empty() ? "" : ": " + health.reason();
    const bool expected = node_.spec().availability() == pb::AVAILABILITY_MAINTENANCE;
    const std::string look = node_.spec().pool().empty()
                                 ? "look at the machine at " + node_.spec().address()
                                 : "frameworks node power-on " + name_;
    if (health.partitioned())
      wrong(Layer::kRuntime,
            fmt::format("is cut off from the server{}: its peers reach it{}", since, why),
            "look at the network between the server and " + node_.spec().address());
    else if (health.state() == pb::HEALTH_DOWN)
      walk_.add(Layer::kRuntime, key_, expected ? pb::FINDING_WARNING : pb::FINDING_WRONG,
                fmt::format("is down{}{}", since, why), look);
    else if (health.state() == pb::HEALTH_SUSPECT || health.state() == pb::HEALTH_DEGRADED)
      warn(Layer::kRuntime, fmt::format("is {}{}{}", word(health.state()), since, why),
           "frameworks get node " + name_ + " --watch");
    else if (health.state() != pb::HEALTH_HEALTHY)
      warn(Layer::kRuntime, "was not heard of since it joined" + why, look);
    else
      walk_.ok(Layer::kRuntime, key_, "is healthy" + since);
    if (health.flapping())
      warn(Layer::kRuntime, "goes up and down so often that its state is held back",
           "frameworks get node " + name_ + " --watch");
    if (!health.saturated().empty())
      warn(Layer::kRuntime,
           fmt::format("is saturated ({}): new work goes elsewhere",
                       fmt::join(health.saturated(), ", ")),
           "give the cluster more nodes, or this one a larger machine");
  }

  void plan() {
    const bool heard = node_.status().health().state() == pb::HEALTH_HEALTHY ||
                       node_.status().health().state() == pb::HEALTH_DEGRADED;
    const auto& waits = walk_.waits_of(name_);
    if (waits.empty()) return walk_.ok(Layer::kRuntime, key_, "its agent has the newest plan");
    for (const PlanWait& wait : waits) {
      const std::string text = fmt::format("{}: {}", wait.plane, wait.why);
      if (!heard)
        walk_.add(Layer::kRuntime, key_, pb::FINDING_UNKNOWN, text);
      else if (wait.failed)
        wrong(Layer::kRuntime, text, "frameworks status");
      else
        warn(Layer::kRuntime, text, "frameworks status");
    }
  }

  const pb::Node& node_;
  const std::string& name_;
  const ResourceKey key_;
  Walk& walk_;
  bool configured_ = false;
};

}  // namespace

bool add_instance(const pb::Instance& instance, Walk& walk) {
  const pb::InstanceStatus& status = instance.status();
  if (status.state() == pb::HEALTH_HEALTHY && !status.flapping()) return false;
  const std::string& name = instance.metadata().name();
  std::string text =
      status.state() == pb::HEALTH_UNSPECIFIED || status.state() == pb::HEALTH_UNKNOWN
          ? "was not checked yet"
          : "is " + word(status.state());
  if (status.flapping()) text += ", and goes up and down so often that it is held there";
  if (!status.reason().empty()) text += ": " + status.reason();
  walk.add(Layer::kRuntime, {"Instance", "", name},
           status.state() == pb::HEALTH_DOWN ? pb::FINDING_WRONG : pb::FINDING_WARNING, text,
           "frameworks why instance/" + name);
  return true;
}

void walk_node(const pb::Node& node, Instances instances, Walk& walk) {
  NodeWalk steps(node, walk);
  steps.machine();
  steps.config();
  steps.runtime();
  const std::string& name = node.metadata().name();
  const ResourceKey key{"Node", "", name};
  if (instances == Instances::kTold) {
    const auto all = walk.snapshot().find_by<pb::Instance>("node", name);
    int bad = 0;
    for (const auto& instance : all)
      if (bad < Walk::kNamed) bad += add_instance(*instance, walk) ? 1 : 0;
    if (bad == 0 && !all.empty())
      walk.ok(Layer::kRuntime, key, fmt::format("all of its {} instances are healthy", all.size()));
  }
  add_incidents(key, walk);
}

void walk_instance(const pb::Instance& instance, Walk& walk) {
  const Snapshot& snapshot = walk.snapshot();
  if (const auto* node = snapshot.find<pb::Node>(instance.spec().node()))
    walk_node(*node, Instances::kLeftOut, walk);
  if (const auto* service = snapshot.find<pb::Service>(instance.spec().service()))
    add_dependencies(*service, walk);
  if (!add_instance(instance, walk))
    walk.ok(Layer::kRuntime, {"Instance", "", instance.metadata().name()}, "is healthy");
  add_rollouts(instance.spec().service(), walk);
}

void walk_cluster(const pb::Cluster& cluster, Walk& walk) {
  const Snapshot& snapshot = walk.snapshot();
  const std::string& name = cluster.metadata().name();
  const ResourceKey key{"Cluster", "", name};
  const auto nodes = snapshot.find_by<pb::Node>("cluster", name);
  if (nodes.empty())
    walk.add(Layer::kMachine, key, pb::FINDING_WRONG, "has no nodes",
             "apply a MachinePool or Nodes of this cluster");
  const bool machines =
      walk.view().everything() || walk.view().owns(name) || walk.view().operates(name);
  int bad = 0;
  for (const auto& node : nodes) {
    if (!machines) break;
    Walk one = walk.fork();
    walk_node(*node, Instances::kTold, one);
    if (walk.add_first_of(one) && ++bad == Walk::kNamed) break;
  }
  if (machines && bad == 0 && !nodes.empty())
    walk.ok(Layer::kRuntime, key, fmt::format("all of its {} nodes are well", nodes.size()));
  const int endpoints = cluster_endpoints(snapshot, name).context.endpoints_size();
  walk.ok(Layer::kRuntime, key,
          endpoints == 0 ? "tenants are sent to no endpoint of it"
                         : fmt::format("tenants are sent to {} endpoints of it", endpoints));
  add_incidents(key, walk);
}

}  // namespace frameworks
