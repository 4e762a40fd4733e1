#include "runtime/orchestration/placement_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/orchestration/counted.h"
#include "runtime/orchestration/obstacle.h"
#include "runtime/orchestration/rollout_plan.h"

namespace frameworks {
namespace {

// Removes first what may not be where it is, which makes room; then adds. Adding never makes room,
// so that one pass is enough.
class InstancePlan {
 public:
  // Everything.
  explicit InstancePlan(Transaction& transaction) : transaction_(transaction), everything_(true) {
    for (const auto& service : transaction.snapshot().list<pb::Service>())
      services_.insert(service->metadata().name());
    for (const auto& instance : transaction.snapshot().list<pb::Instance>()) {
      services_.insert(instance->spec().service());
      nodes_.insert(instance->spec().node());
    }
  }
  InstancePlan(Transaction& transaction, std::set<std::string> services,
               std::set<std::string> nodes)
      : transaction_(transaction), services_(std::move(services)), nodes_(std::move(nodes)) {}

  void plan() {
    for (const std::string& name : nodes_) remove_forbidden("node", name);
    for (const std::string& name : services_) remove_forbidden("service", name);
    for (const std::string& name : services_) remove_surplus(name);
    nodes_.merge(freed_);
    for (const auto& service : transaction_.snapshot().list<pb::Service>()) {
      if (is_counted(service->spec().placement()))
        place_counted(*service);
      else
        place_everywhere(*service);
    }
  }

 private:
  [[nodiscard]] bool is_changed(const pb::Service& service) const {
    return services_.contains(service.metadata().name());
  }

  void remove(const pb::Instance& instance) {
    freed_.insert(instance.spec().node());
    lost_.insert(instance.spec().service());
    transaction_.remove({"Instance", "", instance.metadata().name()});
  }

  // Instances whose service or node is gone, that their selectors forbid, or that may not share
  // their node; of two that may not, the one whose service changed.
  void remove_forbidden(std::string_view index, const std::string& value) {
    for (const auto& instance : transaction_.snapshot().find_by<pb::Instance>(index, value)) {
      const Snapshot& now = transaction_.snapshot();
      const auto* service = now.find<pb::Service>(instance->spec().service());
      const auto* node = now.find<pb::Node>(instance->spec().node());
      if (service == nullptr || node == nullptr || selector_obstacle(now, *service, *node) ||
          (is_changed(*service) && has_rival(*service, *node)))
        remove(*instance);
      else if (is_changed(*service))  // it may need less of its node than before
        freed_.insert(instance->spec().node());
    }
  }

  void remove_surplus(const std::string& name) {
    const Snapshot& now = transaction_.snapshot();
    const auto* service = now.find<pb::Service>(name);
    if (service == nullptr || !is_counted(service->spec().placement())) return;
    const CountedPlan plan = plan_counted(now, *service);
    for (const std::string& node : plan.remove)
      remove(pb::Instance(*now.find<pb::Instance>(instance_name(name, node))));
  }

  [[nodiscard]] bool has_rival(const pb::Service& service, const pb::Node& node) const {
    const Snapshot& now = transaction_.snapshot();
    for (const auto& other : now.find_by<pb::Instance>("node", node.metadata().name())) {
      const auto* found = now.find<pb::Service>(other->spec().service());
      if (found != nullptr && found->metadata().name() != service.metadata().name() &&
          keep_apart(service, *found))
        return true;
    }
    return false;
  }

  void place_everywhere(const pb::Service& service) {
    const auto place = [&](const pb::Node& node) {
      const Snapshot& now = transaction_.snapshot();
      if (selector_obstacle(now, service, node)) return;
      const std::string name = instance_name(service.metadata().name(), node.metadata().name());
      const auto* existing = now.find<pb::Instance>(name);
      if (existing != nullptr || !room_obstacle(now, service, node))
        ensure(service, node.metadata().name(), name, existing);
    };
    if (is_changed(service)) {
      for (const auto& node : transaction_.snapshot().list<pb::Node>()) place(*node);
      if (service.status().wanted() != 0) {  // it was counted before
        pb::Service next = service;
        next.clear_status();
        transaction_.put(std::move(next));
      }
      return;
    }
    for (const std::string& name : nodes_)
      if (const auto* node = transaction_.snapshot().find<pb::Node>(name)) place(pb::Node(*node));
  }

  // Whether the changed nodes make a difference to a service that did not change itself.
  [[nodiscard]] bool may_differ(const pb::Service& service) const {
    if (lost_.contains(service.metadata().name())) return true;
    return std::any_of(nodes_.begin(), nodes_.end(), [&](const std::string& name) {
      const Snapshot& now = transaction_.snapshot();
      const bool short_of = service.status().placed() < service.status().wanted();
      const auto* node = now.find<pb::Node>(name);
      // Less may be wanted when a cluster has none of its nodes any more.
      if (node == nullptr || selector_obstacle(now, service, *node)) return short_of;
      if (now.find<pb::Instance>(instance_name(service.metadata().name(), name)) != nullptr)
        return false;
      // A node without room counts, too: more is wanted when it is the first of its cluster.
      return lacks_in_cluster(service, node->spec().cluster()) ||
             (short_of && !room_obstacle(now, service, *node));
    });
  }

  [[nodiscard]] bool lacks_in_cluster(const pb::Service& service,
                                      const std::string& cluster) const {
    const Snapshot& now = transaction_.snapshot();
    int there = 0;
    for (const auto& instance : now.find_by<pb::Instance>("service", service.metadata().name())) {
      const auto* node = now.find<pb::Node>(instance->spec().node());
      there += node != nullptr && node->spec().cluster() == cluster ? 1 : 0;
    }
    return there < service.spec().placement().count_per_cluster();
  }

  void place_counted(const pb::Service& service) {
    const bool changed = is_changed(service);
    if (!changed && !may_differ(service)) return;
    const std::string& name = service.metadata().name();
    const CountedPlan plan = plan_counted(transaction_.snapshot(), service);
    for (const std::string& node : plan.add) ensure(service, node);
    if (changed)
      for (const auto& instance : transaction_.snapshot().find_by<pb::Instance>("service", name))
        ensure(service, instance->spec().node());
    record(service, plan);
  }

  // Makes the instance exist, with the version that the service or its rollout says.
  void ensure(const pb::Service& service, const std::string& node) {
    const std::string name = instance_name(service.metadata().name(), node);
    ensure(service, node, name, transaction_.snapshot().find<pb::Instance>(name));
  }
  // The same where the instance was looked up.
  void ensure(const pb::Service& service, const std::string& node, const std::string& name,
              const pb::Instance* existing) {
    const std::string version = version_for(transaction_.snapshot(), service, node, existing);
    if (existing != nullptr && existing->spec().version() == version) return;
    pb::Instance instance = existing != nullptr ? *existing : pb::Instance();
    instance.mutable_metadata()->set_name(name);
    instance.mutable_spec()->set_service(service.metadata().name());
    instance.mutable_spec()->set_node(node);
    instance.mutable_spec()->set_version(version);
    transaction_.put(std::move(instance));
  }

  // The reason is as of when the service or how many are placed changed last: it names nodes that
  // come and go, and is told anew by every plan.
  void record(const pb::Service& service, const CountedPlan& plan) {
    const pb::ServiceStatus& was = service.status();
    const bool short_of = plan.placed < plan.wanted;
    const bool same = was.wanted() == plan.wanted && was.placed() == plan.placed;
    if (same && (everything_ || !is_changed(service) || !short_of)) return;
    pb::Service next = *transaction_.snapshot().find<pb::Service>(service.metadata().name());
    next.mutable_status()->set_wanted(plan.wanted);
    next.mutable_status()->set_placed(plan.placed);
    std::string why = short_of ? why_not_more(transaction_.snapshot(), service) : std::string();
    if (short_of && why.empty()) why = "there are no more nodes";
    next.mutable_status()->set_unplaced_reason(std::move(why));
    transaction_.put(std::move(next));
  }

  Transaction& transaction_;
  const bool everything_ = false;
  std::set<std::string> services_;
  std::set<std::string> nodes_;
  std::set<std::string> freed_;  // nodes that may have more room than before
  std::set<std::string> lost_;   // services that lost one
};

pb::PlanStep step(const std::string& action, const std::string& object, std::string summary) {
  pb::PlanStep out;
  out.set_layer("runtime");
  out.set_action(action);
  out.set_object(object);
  out.set_summary(std::move(summary));
  return out;
}

std::string version_text(const pb::Instance& instance) {
  return instance.spec().version().empty() ? "the distribution's version"
                                           : instance.spec().version();
}

// Why this node: how many a counted placement wants, and over what they are spread.
std::string why_here(const Snapshot& after, const pb::Instance& instance) {
  const auto* service = after.find<pb::Service>(instance.spec().service());
  if (service == nullptr || !is_counted(service->spec().placement())) return {};
  const pb::Placement& placement = service->spec().placement();
  const char* over = placement.spread() == pb::SPREAD_NODES      ? "nodes"
                     : placement.spread() == pb::SPREAD_CLUSTERS ? "clusters"
                                                                 : "regions";
  return placement.count() > 0
             ? fmt::format(": one of {}, spread over {}", placement.count(), over)
             : fmt::format(": one of {} in the cluster", placement.count_per_cluster());
}

// Why an instance is no longer there, as far as it is still to be seen.
std::string why_gone(const Snapshot& after, const pb::Instance& instance) {
  const auto* service = after.find<pb::Service>(instance.spec().service());
  const auto* node = after.find<pb::Node>(instance.spec().node());
  if (service == nullptr || node == nullptr) return {};
  const auto obstacle = selector_obstacle(after, *service, *node);
  return obstacle ? ": the node " + obstacle->message : std::string();
}

void explain_instance(const Snapshot& before, const Snapshot& after, const std::string& name,
                      std::vector<pb::PlanStep>& steps) {
  const auto* was = before.find<pb::Instance>(name);
  const auto* is = after.find<pb::Instance>(name);
  if (was == nullptr && is == nullptr) return;
  const pb::Instance& one = is == nullptr ? *was : *is;
  const std::string& service = one.spec().service();
  const std::string& node = one.spec().node();
  const std::string object = "Instance/" + name;
  if (was == nullptr)
    steps.push_back(
        step("create", object, fmt::format("run {} on {}{}", service, node, why_here(after, one))));
  else if (is == nullptr)
    steps.push_back(step("delete", object,
                         fmt::format("stop {} on {}{}", service, node, why_gone(after, one))));
  else if (was->spec().version() != is->spec().version())
    steps.push_back(step("update", object,
                         fmt::format("change {} on {} from {} to {}", service, node,
                                     version_text(*was), version_text(*is))));
}

// Of a service without a count: what keeps its instance off a node that shall have one.
std::optional<Obstacle> lack_on(const Snapshot& snapshot, const pb::Service& service,
                                const pb::Node& node) {
  const std::string instance = instance_name(service.metadata().name(), node.metadata().name());
  if (snapshot.find<pb::Instance>(instance) != nullptr ||
      selector_obstacle(snapshot, service, node))
    return std::nullopt;
  return room_obstacle(snapshot, service, node);
}

// What a service lacks: of a counted one its count, of others the nodes that have no room for it.
std::string lack_of(const Snapshot& snapshot, const pb::Service& service) {
  if (!is_counted(service.spec().placement())) {
    std::string out;
    for (const auto& node : snapshot.list<pb::Node>())
      if (const auto obstacle = lack_on(snapshot, service, *node))
        out += fmt::format("{}{} {}", out.empty() ? "no room: " : ", ", node->metadata().name(),
                           obstacle->message);
    return out;
  }
  const pb::ServiceStatus& status = service.status();
  if (status.placed() >= status.wanted()) return {};
  const std::string why = why_not_more(snapshot, service);
  return fmt::format("{} of {} placed: {}", status.placed(), status.wanted(),
                     why.empty() ? "there are no more nodes" : why);
}

// The nodes on which something changed; nothing where it may be any, or so many that looking at all
// is less work.
std::optional<std::set<std::string>> touched_nodes(const Snapshot& before, const Snapshot& after,
                                                   std::span<const ResourceKey> changed) {
  std::set<std::string> out;
  for (const ResourceKey& key : changed) {
    if (key.kind == "Service" || key.kind == "Cluster" || key.kind == "MachinePool")
      return std::nullopt;
    if (key.kind == "Node") out.insert(key.name);
    if (key.kind != "Instance") continue;
    for (const Snapshot* snapshot : {&before, &after})
      if (const auto* instance = snapshot->find<pb::Instance>(key.name))
        out.insert(instance->spec().node());
  }
  constexpr size_t kShare = 4;
  if (out.size() > after.count(kind_of<pb::Node>()) / kShare) return std::nullopt;
  return out;
}

// Whether what a service without a count lacks may have changed, when it did not change itself.
bool may_lack_more(const Snapshot& before, const Snapshot& after, const pb::Service& service,
                   const std::set<std::string>& nodes) {
  const auto lack = [&](const Snapshot& snapshot, const std::string& name) {
    const auto* node = snapshot.find<pb::Node>(name);
    const auto obstacle = node == nullptr ? std::nullopt : lack_on(snapshot, service, *node);
    return obstacle ? obstacle->message : std::string();
  };
  return std::any_of(nodes.begin(), nodes.end(), [&](const std::string& name) {
    return lack(before, name) != lack(after, name);
  });
}

void explain_lacks(const Snapshot& before, const Snapshot& after,
                   std::span<const ResourceKey> changed, std::vector<pb::PlanStep>& steps) {
  const auto nodes = touched_nodes(before, after, changed);
  for (const auto& service : after.list<pb::Service>()) {
    if (nodes && !is_counted(service->spec().placement()) &&
        !may_lack_more(before, after, *service, *nodes))
      continue;
    const std::string lack = lack_of(after, *service);
    if (lack.empty()) continue;
    const auto* was = before.find<pb::Service>(service->metadata().name());
    if (was == nullptr || lack_of(before, *was) != lack)
      steps.push_back(step("unplaced", "Service/" + service->metadata().name(), lack));
  }
}

}  // namespace

std::string instance_name(std::string_view service, std::string_view node) {
  std::string out;
  out.reserve(service.size() + 1 + node.size());
  out += service;
  out += '.';
  out += node;
  return out;
}

Status plan_instances(Transaction& transaction) {
  InstancePlan(transaction).plan();
  return {};
}

Status plan_instances(Transaction& transaction, std::span<const ResourceKey> changed) {
  std::set<std::string> services;
  std::set<std::string> nodes;
  for (const ResourceKey& key : changed) {
    if (key.kind == "Service") services.insert(key.name);
    if (key.kind == "Node") nodes.insert(key.name);
    if (key.kind == "Cluster")
      for (const auto& node : transaction.snapshot().find_by<pb::Node>("cluster", key.name))
        nodes.insert(node->metadata().name());
    if (key.kind == "MachinePool")  // its nodes' size
      for (const auto& node : transaction.snapshot().find_by<pb::Node>("pool", key.name))
        nodes.insert(node->metadata().name());
  }
  if (services.empty() && nodes.empty()) return {};
  InstancePlan(transaction, std::move(services), std::move(nodes)).plan();
  return {};
}

std::vector<pb::PlanStep> explain_placement(const Snapshot& before, const Snapshot& after) {
  std::vector<ResourceKey> all;
  for (const Snapshot* snapshot : {&before, &after})
    for (const Kind* kind : {&kind_of<pb::Service>(), &kind_of<pb::Instance>()})
      for (const Resource& resource : snapshot->list(*kind)) all.push_back(resource.key());
  return explain_placement(before, after, all);
}

std::vector<pb::PlanStep> explain_placement(const Snapshot& before, const Snapshot& after,
                                            std::span<const ResourceKey> changed) {
  std::set<std::string> instances;
  bool placed_anew = false;
  for (const ResourceKey& key : changed) {
    if (key.kind == "Instance") instances.insert(key.name);
    placed_anew |= key.kind == "Instance" || key.kind == "Service" || key.kind == "Node" ||
                   key.kind == "Cluster" || key.kind == "MachinePool";
  }
  std::vector<pb::PlanStep> steps;
  for (const std::string& name : instances) explain_instance(before, after, name, steps);
  if (placed_anew) explain_lacks(before, after, changed, steps);
  return steps;
}

}  // namespace frameworks
