// A port taken twice on a node, found from the placements alone: no instance need exist.
//
// A service that names no clusters takes cells (tier, region); one that names some takes those
// clusters. Each is looked up and entered once, so that the work is linear in what is placed.
#include <fmt/format.h>

#include <array>
#include <map>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/fleet_rules.h"
#include "model/words.h"

namespace frameworks {
namespace {

using PortKey = std::pair<pb::Protocol, int>;
constexpr std::array<pb::Tier, 3> kTiers = {pb::TIER_CENTRAL, pb::TIER_REGIONAL, pb::TIER_EDGE};

struct Use {
  const pb::Service* service;
  int index;  // of the port
};

class PortTable {
 public:
  PortTable(FleetCheck& check, PortKey port) : check_(check), port_(port) {}

  void place_by_tier(const Use& use) {
    const pb::Placement& placement = use.service->spec().placement();
    const auto place = [&](pb::Tier tier) {
      if (placement.regions().empty()) {
        enter(use, anywhere_[tier], fmt::format("nodes of tier {}", word(tier)), first_[tier]);
        return;
      }
      for (const std::string& region : placement.regions())
        enter(use, cells_[{tier, region}],
              fmt::format("nodes of tier {} in {}", word(tier), region), anywhere_[tier]);
      if (!first_[tier]) first_[tier] = use;
    };
    if (placement.tiers().empty())
      for (const pb::Tier tier : kTiers) place(tier);
    for (const int tier : placement.tiers()) place(static_cast<pb::Tier>(tier));
  }

  void place_by_cluster(const Use& use) {
    const pb::Placement& placement = use.service->spec().placement();
    for (const std::string& name : placement.clusters()) {
      const auto* cluster = check_.fleet.find<pb::Cluster>(name);
      if (cluster == nullptr || !matches(placement, *cluster)) continue;
      const pb::Tier tier = cluster->spec().tier();
      const std::string where = fmt::format("nodes of Cluster/{}", name);
      const auto cell = cells_.find({tier, cluster->spec().region()});
      const auto& wide = cell != cells_.end() && cell->second ? cell->second : anywhere_[tier];
      enter(use, clusters_[name], where, wide);
    }
  }

 private:
  static bool matches(const pb::Placement& placement, const pb::Cluster& cluster) {
    const auto has = [](const auto& list, const auto& value) {
      return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
    };
    return has(placement.tiers(), cluster.spec().tier()) &&
           has(placement.regions(), cluster.spec().region());
  }

  // Takes the place, unless it or the one that holds `rival` with it is taken.
  void enter(const Use& use, std::optional<Use>& place, const std::string& where,
             const std::optional<Use>& rival) {
    if (place)
      collide(use, *place, where);
    else if (rival)
      collide(use, *rival, where);
    if (!place) place = use;
  }

  // Tells once of every pair of services.
  void collide(const Use& use, const Use& other, const std::string& where) {
    const std::string& a = use.service->metadata().name();
    const std::string& b = other.service->metadata().name();
    if (a == b || !told_.insert({std::min(a, b), std::max(a, b)}).second) return;
    const bool mine = check_.is_changed("Service", a) || !check_.is_changed("Service", b);
    check_.fail("Service/" + (mine ? a : b),
                fmt::format("spec.ports[{}].port", mine ? use.index : other.index),
                fmt::format("{} {} is taken by Service/{} on {} already: change the port or the "
                            "placement",
                            word(port_.first), port_.second, mine ? b : a, where));
  }

  FleetCheck& check_;
  PortKey port_;
  std::map<pb::Tier, std::optional<Use>> first_;     // anything of the tier
  std::map<pb::Tier, std::optional<Use>> anywhere_;  // whole tier
  std::map<std::pair<pb::Tier, std::string>, std::optional<Use>> cells_;
  std::map<std::string, std::optional<Use>> clusters_;
  std::set<std::pair<std::string, std::string>> told_;
};

bool placed_on(const pb::Placement& placement, const pb::Cluster& cluster) {
  const auto has = [](const auto& list, const auto& value) {
    return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
  };
  return has(placement.tiers(), cluster.spec().tier()) &&
         has(placement.regions(), cluster.spec().region()) &&
         has(placement.clusters(), cluster.metadata().name());
}

// Which nodes such a service gets is decided when it is placed, where a taken port is an obstacle.
bool is_chosen_later(const Use& use) {
  const pb::Placement& placement = use.service->spec().placement();
  return placement.count() > 0 || placement.count_per_cluster() > 0 ||
         !placement.labels().empty() || !placement.apart_from().empty();
}

// The ports that every machine takes itself: SSH and WireGuard.
void check_system_ports(FleetCheck& check, const std::map<PortKey, std::vector<Use>>& uses) {
  std::map<std::string, std::map<PortKey, std::string>> taken;  // by cluster
  const auto take = [&](const std::string& cluster, PortKey port, const char* what) {
    if (uses.contains(port)) taken[cluster].emplace(port, what);
  };
  for (const auto& pool : check.fleet.list<pb::MachinePool>()) {
    take(pool->spec().cluster(), {pb::PROTOCOL_TCP, 22}, "SSH");
    take(pool->spec().cluster(), {pb::PROTOCOL_UDP, 51820}, "WireGuard");
  }
  for (const auto& node : check.fleet.list<pb::Node>()) {
    take(node->spec().cluster(), {pb::PROTOCOL_TCP, node->spec().ssh_port()}, "SSH");
    take(node->spec().cluster(), {pb::PROTOCOL_UDP, node->spec().wireguard_port()}, "WireGuard");
  }
  std::set<std::pair<std::string, PortKey>> told;
  for (const auto& [name, ports] : taken) {
    const auto* cluster = check.fleet.find<pb::Cluster>(name);
    if (cluster == nullptr) continue;
    for (const auto& [port, what] : ports)
      for (const Use& use : uses.at(port)) {
        const std::string& service = use.service->metadata().name();
        if (!placed_on(use.service->spec().placement(), *cluster)) continue;
        if (!told.insert({service, port}).second) continue;
        check.fail(
            "Service/" + service, fmt::format("spec.ports[{}].port", use.index),
            fmt::format("{} {} is taken by {} on nodes of Cluster/{} already: change the port "
                        "or the placement",
                        word(port.first), port.second, what, name));
      }
  }
}

}  // namespace

void check_ports(FleetCheck& check) {
  if (!check.touches("Service") && !check.touches("Cluster") && !check.touches("Node") &&
      !check.touches("MachinePool"))
    return;
  const auto services = check.fleet.list<pb::Service>();
  std::map<PortKey, std::vector<Use>> uses;
  for (const auto& service : services)
    for (int i = 0; i < service->spec().ports_size(); ++i)
      uses[{service->spec().ports(i).protocol(), service->spec().ports(i).port()}].push_back(
          {service.get(), i});
  for (const auto& [port, group] : uses) {
    if (group.size() < 2) continue;
    PortTable table(check, port);
    for (const Use& use : group)
      if (!is_chosen_later(use) && use.service->spec().placement().clusters().empty())
        table.place_by_tier(use);
    for (const Use& use : group)
      if (!is_chosen_later(use) && !use.service->spec().placement().clusters().empty())
        table.place_by_cluster(use);
  }
  check_system_ports(check, uses);
}

}  // namespace frameworks
