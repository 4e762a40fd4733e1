#include "runtime/inventory/hosts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "frameworks/v1/tenant.pb.h"
#include "runtime/tenants/entitlement.h"

namespace frameworks {
namespace {

using Clusters = std::map<std::string, const pb::Cluster*, std::less<>>;
using Names = std::unordered_set<std::string>;

template <typename Values, typename T>
bool admits(const Values& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

template <typename T>
void check_names(const Snapshot& snapshot, const char* field,
                 const google::protobuf::RepeatedPtrField<std::string>& names,
                 std::vector<Violation>& violations) {
  for (const std::string& name : names)
    if (snapshot.find<T>(name) == nullptr)
      violations.push_back(
          {{}, 0, "", field, fmt::format("{}/{}: not found", T::descriptor()->name(), name)});
}

Status check(const Snapshot& snapshot, const pb::InventoryFilter& filter) {
  std::vector<Violation> violations;
  check_names<pb::Cluster>(snapshot, "filter.clusters", filter.clusters(), violations);
  check_names<pb::Service>(snapshot, "filter.services", filter.services(), violations);
  check_names<pb::Tenant>(snapshot, "filter.tenants", filter.tenants(), violations);
  std::set<std::string> regions;
  if (!filter.regions().empty())
    for (const auto& cluster : snapshot.list<pb::Cluster>())
      regions.insert(cluster->spec().region());
  for (const std::string& region : filter.regions())
    if (!regions.contains(region))
      violations.push_back(
          {{}, 0, "", "filter.regions", fmt::format("no cluster is in region \"{}\"", region)});
  if (violations.empty()) return {};
  return Error::invalid(std::move(violations));
}

Names clusters_of(const Snapshot& snapshot,
                  const google::protobuf::RepeatedPtrField<std::string>& tenants) {
  Names out;
  for (const std::string& tenant : tenants)
    for (const auto& grant : snapshot.find_by<pb::Grant>("tenant", tenant))
      if (is_valid(snapshot, *grant)) out.insert(grant->spec().cluster());
  return out;
}

Clusters clusters_for(const Snapshot& snapshot, const pb::InventoryFilter& filter) {
  const Names granted = clusters_of(snapshot, filter.tenants());
  Clusters out;
  for (const auto& cluster : snapshot.list<pb::Cluster>()) {
    const std::string& name = cluster->metadata().name();
    if (admits(filter.tiers(), static_cast<int>(cluster->spec().tier())) &&
        admits(filter.regions(), cluster->spec().region()) && admits(filter.clusters(), name) &&
        (filter.tenants().empty() || granted.contains(name)))
      out[name] = snapshot.find<pb::Cluster>(name);
  }
  return out;
}

std::vector<std::shared_ptr<const pb::Node>> nodes_in(const Snapshot& snapshot,
                                                      const Clusters& clusters) {
  if (clusters.size() == snapshot.count(kind_of<pb::Cluster>())) return snapshot.list<pb::Node>();
  std::vector<std::shared_ptr<const pb::Node>> out;
  for (const auto& [name, cluster] : clusters)
    for (auto& node : snapshot.find_by<pb::Node>("cluster", name)) out.push_back(std::move(node));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a->metadata().name() < b->metadata().name();
  });
  return out;
}

Names nodes_running(const Snapshot& snapshot,
                    const google::protobuf::RepeatedPtrField<std::string>& services) {
  Names out;
  for (const std::string& service : services)
    snapshot.scan_by(kind_of<pb::Instance>(), "service", service, [&](const Resource& instance) {
      out.insert(instance.as<pb::Instance>().spec().node());
      return true;
    });
  return out;
}

// Few hosts are looked up one by one; for many, all instances are gone through once.
void add_instances(const Snapshot& snapshot, std::vector<Host>& hosts) {
  constexpr size_t kFew = 8;
  if (hosts.size() * kFew < snapshot.count(kind_of<pb::Node>())) {
    for (Host& host : hosts)
      host.instances = snapshot.find_by<pb::Instance>("node", host.node->metadata().name());
    return;
  }
  std::unordered_map<std::string_view, Host*> by_name(hosts.size());
  for (Host& host : hosts) by_name[host.node->metadata().name()] = &host;
  snapshot.scan(kind_of<pb::Instance>(), [&](const Resource& resource) {
    auto instance = resource.share<pb::Instance>();
    const auto found = by_name.find(instance->spec().node());
    if (found != by_name.end()) found->second->instances.push_back(std::move(instance));
    return true;
  });
}

}  // namespace

pb::Health health_of(const pb::Node& node) {
  const pb::Health state = node.status().health().state();
  return state == pb::HEALTH_UNSPECIFIED ? pb::HEALTH_UNKNOWN : state;
}

Result<std::vector<Host>> select_hosts(const Snapshot& snapshot,
                                       const pb::InventoryFilter& filter) {
  RETURN_IF_ERROR(check(snapshot, filter));
  const Clusters clusters = clusters_for(snapshot, filter);
  const Names running = nodes_running(snapshot, filter.services());
  std::vector<Host> out;
  for (auto& node : nodes_in(snapshot, clusters)) {
    const auto cluster = clusters.find(node->spec().cluster());
    if (cluster == clusters.end()) continue;
    if (!filter.services().empty() && !running.contains(node->metadata().name())) continue;
    if (!admits(filter.states(), static_cast<int>(health_of(*node)))) continue;
    out.push_back({std::move(node), cluster->second, {}});
  }
  add_instances(snapshot, out);
  return out;
}

std::vector<Host> hosts_named(const Snapshot& snapshot, const std::vector<std::string>& names) {
  std::vector<Host> out;
  for (const std::string& name : std::set<std::string>(names.begin(), names.end())) {
    const Resource* found = snapshot.find(kind_of<pb::Node>(), {}, name);
    if (found == nullptr) continue;
    auto node = found->share<pb::Node>();
    const auto* cluster = snapshot.find<pb::Cluster>(node->spec().cluster());
    if (cluster != nullptr) out.push_back({std::move(node), cluster, {}});
  }
  add_instances(snapshot, out);
  return out;
}

}  // namespace frameworks
