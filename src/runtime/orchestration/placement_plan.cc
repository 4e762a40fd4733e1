#include "runtime/orchestration/placement_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace frameworks {
namespace {

using InstancePtr = std::shared_ptr<const pb::Instance>;

template <typename List, typename Value>
bool allows(const List& list, const Value& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

bool runs(const Snapshot& snapshot, const pb::Service& service, const pb::Node& node) {
  if (node.metadata().has_delete_time()) return false;
  const auto* cluster = snapshot.find<pb::Cluster>(node.spec().cluster());
  return cluster != nullptr && is_placed(service.spec().placement(), *cluster);
}

// Makes the instance of `service` on `node` exist, or not.
void ensure(Transaction& transaction, const pb::Service& service, const pb::Node& node) {
  const std::string name = instance_name(service.metadata().name(), node.metadata().name());
  const auto* existing = transaction.snapshot().find<pb::Instance>(name);
  if (!runs(transaction.snapshot(), service, node)) {
    if (existing != nullptr) transaction.remove({"Instance", "", name});
    return;
  }
  if (existing != nullptr && existing->spec().version() == service.spec().version()) return;
  pb::Instance instance = existing != nullptr ? *existing : pb::Instance();
  instance.mutable_metadata()->set_name(name);
  instance.mutable_spec()->set_service(service.metadata().name());
  instance.mutable_spec()->set_node(node.metadata().name());
  instance.mutable_spec()->set_version(service.spec().version());
  transaction.put(std::move(instance));
}

void remove_all(Transaction& transaction, std::string_view index, const std::string& value) {
  for (const auto& instance : transaction.snapshot().find_by<pb::Instance>(index, value))
    transaction.remove({"Instance", "", instance->metadata().name()});
}

void plan(Transaction& transaction, const std::set<std::string>& services,
          const std::set<std::string>& nodes) {
  const auto all_services = transaction.snapshot().list<pb::Service>();
  for (const std::string& name : nodes) {
    const Snapshot& now = transaction.snapshot();
    const auto* found = now.find<pb::Node>(name);
    if (found == nullptr) {
      remove_all(transaction, "node", name);
      continue;
    }
    const pb::Node node = *found;
    for (const auto& service : all_services) ensure(transaction, *service, node);
  }
  if (services.empty()) return;
  const auto all_nodes = transaction.snapshot().list<pb::Node>();
  for (const std::string& name : services) {
    const auto* found = transaction.snapshot().find<pb::Service>(name);
    if (found == nullptr) {
      remove_all(transaction, "service", name);
      continue;
    }
    const pb::Service service = *found;
    for (const auto& node : all_nodes) ensure(transaction, service, *node);
  }
}

pb::PlanStep step(const std::string& action, const std::string& summary,
                  const pb::Instance& instance) {
  pb::PlanStep out;
  out.set_layer("runtime");
  out.set_action(action);
  out.set_object("Instance/" + instance.metadata().name());
  out.set_summary(summary);
  return out;
}

std::string version_text(const pb::Instance& instance) {
  return instance.spec().version().empty() ? "the distribution's version"
                                           : instance.spec().version();
}

}  // namespace

std::string instance_name(std::string_view service, std::string_view node) {
  return fmt::format("{}.{}", service, node);
}

bool is_placed(const pb::Placement& placement, const pb::Cluster& cluster) {
  return allows(placement.tiers(), static_cast<int>(cluster.spec().tier())) &&
         allows(placement.regions(), cluster.spec().region()) &&
         allows(placement.clusters(), cluster.metadata().name());
}

Status plan_instances(Transaction& transaction) {
  std::set<std::string> nodes;
  std::set<std::string> gone_services;
  for (const auto& node : transaction.snapshot().list<pb::Node>())
    nodes.insert(node->metadata().name());
  for (const auto& instance : transaction.snapshot().list<pb::Instance>()) {
    nodes.insert(instance->spec().node());
    if (transaction.snapshot().find<pb::Service>(instance->spec().service()) == nullptr)
      gone_services.insert(instance->spec().service());
  }
  plan(transaction, gone_services, nodes);
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
  }
  plan(transaction, services, nodes);
  return {};
}

std::vector<pb::PlanStep> explain_placement(const Snapshot& before, const Snapshot& after) {
  std::map<std::string, std::pair<InstancePtr, InstancePtr>> instances;
  for (const auto& instance : before.list<pb::Instance>())
    instances[instance->metadata().name()].first = instance;
  for (const auto& instance : after.list<pb::Instance>())
    instances[instance->metadata().name()].second = instance;
  std::vector<pb::PlanStep> steps;
  for (const auto& [name, pair] : instances) {
    const auto& [old_one, new_one] = pair;
    if (old_one == nullptr) {
      steps.push_back(step(
          "create", fmt::format("run {} on {}", new_one->spec().service(), new_one->spec().node()),
          *new_one));
    } else if (new_one == nullptr) {
      steps.push_back(step(
          "delete", fmt::format("stop {} on {}", old_one->spec().service(), old_one->spec().node()),
          *old_one));
    } else if (old_one->spec().version() != new_one->spec().version()) {
      steps.push_back(
          step("update",
               fmt::format("change {} on {} from {} to {}", new_one->spec().service(),
                           new_one->spec().node(), version_text(*old_one), version_text(*new_one)),
               *new_one));
    }
  }
  return steps;
}

}  // namespace frameworks
