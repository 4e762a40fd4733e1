#include "runtime/inventory/inventory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <set>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks {
namespace {

namespace json = boost::json;
using ServicePtr = std::shared_ptr<const pb::Service>;

// Visits services so that each comes after those it depends on; by name where that leaves a choice.
class DependencyOrder {
 public:
  explicit DependencyOrder(std::map<std::string, ServicePtr> services)
      : services_(std::move(services)) {
    for (const auto& [name, service] : services_) visit(name);
  }
  [[nodiscard]] const std::vector<ServicePtr>& order() const { return order_; }

 private:
  void visit(const std::string& name) {
    const auto found = services_.find(name);
    if (found == services_.end() || !visited_.insert(name).second) return;
    std::set<std::string> first(found->second->spec().depends_on().begin(),
                                found->second->spec().depends_on().end());
    for (const std::string& dependency : first) visit(dependency);
    order_.push_back(found->second);
  }

  std::map<std::string, ServicePtr> services_;
  std::set<std::string> visited_;
  std::vector<ServicePtr> order_;
};

std::vector<ServicePtr> services_of(const Snapshot& snapshot, const pb::Node& node) {
  std::map<std::string, ServicePtr> services;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name())) {
    const Resource* service = snapshot.find(kind_of<pb::Service>(), {}, instance->spec().service());
    if (service != nullptr) services[service->name()] = service->share<pb::Service>();
  }
  return DependencyOrder(std::move(services)).order();
}

json::object service_json(const pb::Service& service) {
  const pb::ServiceSpec& spec = service.spec();
  json::array ports;
  for (const pb::Port& port : spec.ports())
    ports.push_back(json::object{{"name", port.name()},
                                 {"port", port.port()},
                                 {"protocol", word(port.protocol())},
                                 {"exposure", word(port.exposure())}});
  // A protobuf map has no order, and the hash needs one.
  const std::map<std::string, google::protobuf::Value> sorted(spec.config().begin(),
                                                              spec.config().end());
  json::object config;
  for (const auto& [name, value] : sorted) config[name] = to_json(value);
  return {{"name", service.metadata().name()},
          {"role", spec.role()},
          {"version", spec.version()},
          {"ports", std::move(ports)},
          {"config", std::move(config)}};
}

std::vector<std::string> groups_of(const pb::Node& node, const pb::Cluster& cluster,
                                   const std::vector<ServicePtr>& services) {
  std::vector<std::string> groups{group_name("tier", word(cluster.spec().tier())),
                                  group_name("region", cluster.spec().region()),
                                  group_name("cluster", node.spec().cluster())};
  for (const ServicePtr& service : services)
    groups.push_back(group_name("service", service->metadata().name()));
  return groups;
}

// A host that Ansible can reach.
bool is_host(const pb::Node& node) { return !node.spec().address().empty(); }

json::object inventory_of(const Snapshot& snapshot,
                          const std::vector<std::shared_ptr<const pb::Node>>& nodes) {
  json::object hostvars;
  json::array hosts;
  std::map<std::string, json::array> groups;
  for (const auto& node : nodes) {
    const auto* cluster = snapshot.find<pb::Cluster>(node->spec().cluster());
    if (cluster == nullptr || !is_host(*node)) continue;
    const std::string& name = node->metadata().name();
    hosts.emplace_back(name);
    hostvars[name] = host_json(snapshot, *node);
    for (const std::string& group : groups_of(*node, *cluster, services_of(snapshot, *node)))
      groups[group].emplace_back(name);
  }
  json::array names;
  for (const auto& [group, members] : groups) names.emplace_back(group);
  json::object out{{"_meta", {{"hostvars", std::move(hostvars)}}},
                   {"all", {{"hosts", std::move(hosts)}, {"children", std::move(names)}}}};
  for (auto& [group, members] : groups) out[group] = json::object{{"hosts", std::move(members)}};
  return out;
}

// Service name → what configures it, as text to compare.
std::map<std::string, std::string> configured(const Snapshot& snapshot, const pb::Node& node) {
  std::map<std::string, std::string> out;
  for (const ServicePtr& service : services_of(snapshot, node))
    out[service->metadata().name()] = json::serialize(service_json(*service));
  return out;
}

std::string changes_text(const Snapshot& before, const pb::Node* old_node, const Snapshot& after,
                         const pb::Node& node) {
  const auto now = configured(after, node);
  std::vector<std::string> parts;
  if (old_node == nullptr || node.status().configuration().version().empty()) {
    parts.emplace_back("install base");
    parts.emplace_back("agent");
    for (const auto& [name, text] : now) parts.push_back(name);
    return fmt::format("{}", fmt::join(parts, ", "));
  }
  const auto was = configured(before, *old_node);
  for (const auto& [name, text] : now) {
    const auto old_one = was.find(name);
    if (old_one == was.end()) parts.push_back("add " + name);
    if (old_one != was.end() && old_one->second != text) parts.push_back("change " + name);
  }
  for (const auto& [name, text] : was)
    if (!now.contains(name)) parts.push_back("remove " + name);
  if (parts.empty()) parts.emplace_back("bring up to date");
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::string group_name(std::string_view sort, std::string_view name) {
  std::string group = fmt::format("{}_{}", sort, name);
  std::replace_if(
      group.begin(), group.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return group;
}

json::object inventory_json(const Snapshot& snapshot) {
  return inventory_of(snapshot, snapshot.list<pb::Node>());
}

json::object inventory_json(const Snapshot& snapshot, const std::vector<std::string>& names) {
  std::vector<std::shared_ptr<const pb::Node>> nodes;
  for (const std::string& name : std::set<std::string>(names.begin(), names.end()))
    if (const Resource* found = snapshot.find(kind_of<pb::Node>(), {}, name))
      nodes.push_back(found->share<pb::Node>());
  return inventory_of(snapshot, nodes);
}

json::object host_json(const Snapshot& snapshot, const pb::Node& node) {
  const pb::NodeSpec& spec = node.spec();
  json::object host{{"ansible_host", spec.address()},
                    {"ansible_port", spec.ssh_port() == 0 ? 22 : spec.ssh_port()},
                    {"ansible_user", spec.ssh_user().empty() ? "root" : spec.ssh_user()},
                    {"frameworks_node", node.metadata().name()},
                    {"frameworks_cluster", spec.cluster()}};
  if (const auto* cluster = snapshot.find<pb::Cluster>(spec.cluster())) {
    host["frameworks_tier"] = word(cluster->spec().tier());
    host["frameworks_region"] = cluster->spec().region();
  }
  host["frameworks_mesh_address"] = spec.mesh_address();
  host["frameworks_mesh_address6"] = spec.mesh_address6();
  json::array services;
  for (const ServicePtr& service : services_of(snapshot, node))
    services.push_back(service_json(*service));
  host["frameworks_services"] = std::move(services);
  return host;
}

std::string host_version(const Snapshot& snapshot, const pb::Node& node) {
  return sha256_hex(json::serialize(host_json(snapshot, node))).substr(0, 16);
}

std::vector<pb::PlanStep> explain_configuration(const Snapshot& before, const Snapshot& after) {
  std::vector<pb::PlanStep> steps;
  for (const auto& node : after.list<pb::Node>()) {
    if (!is_host(*node)) continue;
    const std::string& name = node->metadata().name();
    const auto* old_node = before.find<pb::Node>(name);
    const std::string version = host_version(after, *node);
    const bool same = old_node != nullptr && host_version(before, *old_node) == version;
    if (same && node->status().configuration().version() == version) continue;
    pb::PlanStep& step = steps.emplace_back();
    step.set_layer("config");
    step.set_action("configure");
    step.set_object(name);
    step.set_summary(
        fmt::format("configure {}: {}", name, changes_text(before, old_node, after, *node)));
  }
  return steps;
}

}  // namespace frameworks
