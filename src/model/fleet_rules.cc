#include "model/fleet_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/ip.h"
#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/field_rules.h"

namespace frameworks {
namespace {

struct Range {
  Cidr cidr;
  std::string cluster;
  std::string field;
};

std::vector<Range> all_ranges(const Snapshot& fleet) {
  std::vector<Range> out;
  for (const auto& cluster : fleet.list<pb::Cluster>()) {
    const pb::ClusterNetworks& networks = cluster->spec().networks();
    // A range of the other family is its field's own violation.
    const auto add = [&](const std::string& text, const char* field, bool v4) {
      const Result<Cidr> cidr = Cidr::parse(text);
      if (cidr && cidr->address().is_v4() == v4)
        out.push_back({cidr->network(), cluster->metadata().name(), field});
    };
    add(networks.machines(), "spec.networks.machines", true);
    add(networks.mesh(), "spec.networks.mesh", true);
    add(networks.mesh6(), "spec.networks.mesh6", false);
  }
  return out;
}

// Usable IPv4 addresses: the first and the last of a range are not given to hosts.
uint64_t hosts_in(const std::string& range) {
  const Result<Cidr> cidr = Cidr::parse(range);
  if (!cidr) return UINT64_MAX;  // its own violation
  return cidr->size() > 2 ? cidr->size() - 2 : 0;
}

void check_delays(FleetCheck& check) {
  struct First {
    std::string pool;
    Duration delay;
  };
  std::map<std::string, First> regions;
  for (const auto& pool : check.fleet.list<pb::MachinePool>()) {
    if (pool->spec().provider() != "local") continue;
    const auto* cluster = check.fleet.find<pb::Cluster>(pool->spec().cluster());
    if (cluster == nullptr) continue;
    const auto& text = pool->spec().local().wan_delay();
    const Duration delay =
        std::chrono::seconds(text.seconds()) + std::chrono::nanoseconds(text.nanos());
    const std::string& name = pool->metadata().name();
    const auto [found, fresh] = regions.emplace(cluster->spec().region(), First{name, delay});
    if (fresh || found->second.delay == delay) continue;
    const First& other = found->second;
    const bool mine =
        check.is_changed("MachinePool", name) || !check.is_changed("MachinePool", other.pool);
    check.fail("MachinePool/" + (mine ? name : other.pool), "spec.local.wanDelay",
               fmt::format("{} differs from {} of MachinePool/{} in the same region {}: make them "
                           "equal",
                           format_duration(mine ? delay : other.delay),
                           format_duration(mine ? other.delay : delay), mine ? other.pool : name,
                           cluster->spec().region()));
  }
}

// The clusters whose number of nodes or ranges may have changed.
std::set<std::string> resized_clusters(const FleetCheck& check) {
  std::set<std::string> out;
  for (const ResourceKey& key : check.changed) {
    if (key.kind == "Cluster") out.insert(key.name);
    const bool counts = key.kind == "MachinePool" || key.kind == "Node";
    const Resource* resource = counts ? check.fleet.find(key) : nullptr;
    if (resource == nullptr) continue;
    if (key.kind == "MachinePool") out.insert(resource->as<pb::MachinePool>().spec().cluster());
    if (key.kind == "Node") out.insert(resource->as<pb::Node>().spec().cluster());
  }
  return out;
}

void check_capacity(FleetCheck& check, const std::string& name) {
  const auto* cluster = check.fleet.find<pb::Cluster>(name);
  if (cluster == nullptr) return;
  uint64_t local = 0;
  uint64_t total = 0;
  std::string object = "Cluster/" + name;
  const pb::ClusterNetworks& networks = cluster->spec().networks();
  for (const auto& pool : check.fleet.find_by<pb::MachinePool>("cluster", name)) {
    const auto count = static_cast<uint64_t>(std::max(pool->spec().count(), 0));
    if (pool->spec().provider() != "local") continue;
    local += count;
    if (check.is_changed("MachinePool", pool->metadata().name()))
      object = "MachinePool/" + pool->metadata().name();
    if (count > 0 && networks.machines().empty())
      check.fail("MachinePool/" + pool->metadata().name(), "spec.cluster",
                 fmt::format("Cluster/{} has no spec.networks.machines to give local machines "
                             "addresses from: set it",
                             name));
  }
  for (const auto& node : check.fleet.find_by<pb::Node>("cluster", name))
    if (node->spec().pool().empty()) ++total;
  total += local;
  const std::string field = object.starts_with("MachinePool") ? "spec.count" : "spec.networks";
  const auto compare = [&](const std::string& range, const char* sort, uint64_t wanted) {
    if (!range.empty() && wanted > hosts_in(range))
      check.fail(
          object, field,
          fmt::format("{} nodes do not fit {} range {} of Cluster/{}, which has {} addresses: "
                      "widen the range or have fewer nodes",
                      wanted, sort, range, name, hosts_in(range)));
  };
  compare(networks.machines(), "machine", local);
  compare(networks.mesh(), "mesh", total);
}

// Tells of every node that has a value which a node of the list has already.
void check_unique(FleetCheck& check, const std::vector<std::shared_ptr<const pb::Node>>& nodes,
                  const char* field, const std::function<std::string(const pb::Node&)>& value) {
  if (nodes.size() < 2) return;
  std::map<std::string, std::string> first;
  for (const auto& node : nodes) {
    const std::string text = value(*node);
    if (text.empty()) continue;
    const std::string& name = node->metadata().name();
    const auto [found, fresh] = first.emplace(text, name);
    if (fresh) continue;
    const bool mine = check.is_changed("Node", name);
    check.fail("Node/" + (mine ? name : found->second), field,
               fmt::format("{} is taken by Node/{} already: choose another", text,
                           mine ? found->second : name));
  }
}

// Instances, and the nodes of pools, follow from the model: they go when what they name goes.
bool is_derived(const Resource& resource) {
  return resource.kind().system_owned ||
         (resource.kind().name == "Node" && !resource.as<pb::Node>().spec().pool().empty());
}

}  // namespace

void check_ranges(FleetCheck& check) {
  if (!check.touches("Cluster")) return;
  std::vector<Range> ranges = all_ranges(check.fleet);
  // Prefixes are nested or apart: in this order the widest range that a range overlaps comes first.
  std::stable_sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.cidr.address(), a.cidr.prefix()) <
           std::pair(b.cidr.address(), b.cidr.prefix());
  });
  const Range* outer = nullptr;
  // IPv4 comes first; an IPv6 range that follows from it is not told again.
  std::set<std::pair<std::string, std::string>> told;
  for (const Range& range : ranges) {
    if (outer == nullptr || !outer->cidr.overlaps(range.cidr)) {
      outer = &range;
      continue;
    }
    const bool fresh = told.insert({outer->cluster, range.cluster}).second;
    if (!fresh && !range.cidr.address().is_v4()) continue;
    const bool mine = check.is_changed("Cluster", range.cluster);
    const Range& here = mine ? range : *outer;
    const Range& there = mine ? *outer : range;
    check.fail("Cluster/" + here.cluster, here.field,
               fmt::format("{} overlaps {} of Cluster/{} ({}): choose another range",
                           here.cidr.text(), there.cidr.text(), there.cluster, there.field));
  }
}

void check_dependencies(FleetCheck& check) {
  if (!check.touches("Service")) return;
  enum class Mark { kOpen, kDone };
  struct Frame {
    const pb::Service* service;
    int next;
  };
  std::map<std::string, Mark> marks;
  for (const auto& root : check.fleet.list<pb::Service>()) {
    if (marks.contains(root->metadata().name())) continue;
    std::vector<Frame> path{{root.get(), 0}};
    marks[root->metadata().name()] = Mark::kOpen;
    while (!path.empty()) {
      Frame& top = path.back();
      const pb::Service& service = *top.service;
      if (top.next == service.spec().depends_on_size()) {
        marks[service.metadata().name()] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const int index = top.next++;
      const std::string& name = service.spec().depends_on(index);
      const auto* next = check.fleet.find<pb::Service>(name);
      if (next == nullptr) continue;
      const auto mark = marks.find(name);
      if (mark == marks.end()) {
        marks[name] = Mark::kOpen;
        path.push_back({next, 0});
      } else if (mark->second == Mark::kOpen) {
        std::string circle = name;
        auto at = std::find_if(path.begin(), path.end(),
                               [&](const Frame& f) { return f.service == next; });
        for (++at; at < path.end(); ++at) circle += " -> " + at->service->metadata().name();
        check.fail("Service/" + service.metadata().name(), fmt::format("spec.dependsOn[{}]", index),
                   fmt::format("\"{}\" closes the circle {} -> {}: remove one dependency", name,
                               circle, name));
      }
    }
  }
}

void check_pools(FleetCheck& check) {
  if (check.touches("MachinePool") || check.touches("Cluster")) check_delays(check);
  for (const std::string& cluster : resized_clusters(check)) check_capacity(check, cluster);
}

void check_addresses(FleetCheck& check) {
  if (!check.touches("Node")) return;
  std::set<std::string> clusters;
  std::set<std::string> addresses;
  for (const ResourceKey& key : check.changed) {
    const Resource* node = key.kind == "Node" ? check.fleet.find(key) : nullptr;
    if (node == nullptr) continue;
    clusters.insert(node->as<pb::Node>().spec().cluster());
    addresses.insert(node->as<pb::Node>().spec().address());
  }
  addresses.erase("");
  for (const std::string& cluster : clusters) {
    const auto nodes = check.fleet.find_by<pb::Node>("cluster", cluster);
    check_unique(check, nodes, "spec.meshAddress",
                 [](const auto& n) { return n.spec().mesh_address(); });
    check_unique(check, nodes, "spec.meshAddress6",
                 [](const auto& n) { return n.spec().mesh_address6(); });
  }
  // Machines behind one address need ports of their own.
  for (const std::string& address : addresses) {
    const auto nodes = check.fleet.find_by<pb::Node>("address", address);
    check_unique(check, nodes, "spec.address", [](const pb::Node& n) {
      return fmt::format("{} (SSH port {})", n.spec().address(), n.spec().ssh_port());
    });
    check_unique(check, nodes, "spec.wireguardPort", [](const pb::Node& n) {
      return fmt::format("{} of {}", n.spec().wireguard_port(), n.spec().address());
    });
  }
}

void check_removals(FleetCheck& check) {
  constexpr size_t kNamed = 3;
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> users;
  std::set<std::string> kinds;
  for (const ResourceKey& key : check.removed) {
    if (!key.tenant.empty()) continue;
    users[{key.kind, key.name}];
    kinds.insert(key.kind);
    if (key.kind != "Tenant") continue;
    for (const Kind& kind : all_kinds())
      for (const Resource& owned : check.fleet.find_by(kind, "tenant", key.name))
        users[{key.kind, key.name}].push_back(owned.key().text());
  }
  for (const Kind& kind : all_kinds()) {
    const bool concerned = std::any_of(kinds.begin(), kinds.end(), [&](const std::string& target) {
      return may_reference(kind, target);
    });
    if (!concerned || kind.system_owned) continue;
    for (const Resource& resource : check.fleet.list(kind)) {
      if (is_derived(resource)) continue;
      for_each_reference(
          resource.message(),
          [&](const std::string& field, const std::string& target, const std::string& name) {
            const auto found = users.find({target, name});
            if (found == users.end() || check.is_changed(resource.key())) return;
            found->second.push_back(fmt::format("{} ({})", resource.key().text(), field));
          });
    }
  }
  for (const auto& [key, names] : users) {
    if (names.empty()) continue;
    std::string list;
    for (size_t i = 0; i < std::min(names.size(), kNamed); ++i)
      list += (list.empty() ? "" : ", ") + names[i];
    if (names.size() > kNamed) list += fmt::format(" and {} more", names.size() - kNamed);
    check.fail(key.first + "/" + key.second, {},
               fmt::format("is still used by {}: change or delete {} first", list,
                           names.size() == 1 ? "it" : "them"));
  }
}

}  // namespace frameworks
