#include "runtime/health/incident_plan.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <set>
#include <string_view>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

constexpr const char* kMassLoss = "mass-loss";
constexpr const char* kFleet = "Fleet/all";

bool is_unreachable(const pb::NodeHealth& health) {
  return health.state() == pb::HEALTH_DOWN || health.partitioned() || health.held() ||
         health.agent_silent();
}

bool is_sick(const pb::Node& node) {
  const pb::NodeHealth& health = node.status().health();
  return is_unreachable(health) || health.saturated_size() > 0 || health.clock_off();
}

bool is_sick(const pb::Instance& instance) {
  const pb::Health state = instance.status().state();
  return state == pb::HEALTH_DOWN || state == pb::HEALTH_DEGRADED;
}

bool is_sick(const pb::Rollout& rollout) {
  const pb::RolloutState state = rollout.status().state();
  return state == pb::ROLLOUT_STATE_FAILED || state == pb::ROLLOUT_STATE_ROLLING_BACK ||
         state == pb::ROLLOUT_STATE_ROLLED_BACK;
}

bool is_maintained(const pb::Node& node) {
  return node.spec().availability() == pb::AVAILABILITY_MAINTENANCE;
}

std::string of_node(const std::string& name) { return "Node/" + name; }

class Plan {
 public:
  Plan(const Snapshot& snapshot, const SickList& sick) : snapshot_(snapshot) {
    for (const std::string& name : sick.nodes()) {
      const auto* node = snapshot.find<pb::Node>(name);
      if (node == nullptr || is_maintained(*node)) continue;
      if (is_unreachable(node->status().health())) away_[name] = node;
      add_conditions(*node);
    }
    for (const std::string& name : sick.instances()) add_instance(name);
  }

  // Who belongs to a group stays in it until it answers; others of its region join it.
  void keep_groups(const std::vector<std::shared_ptr<const pb::Incident>>& open) {
    for (const auto& incident : open) {
      const auto& spec = incident->spec();
      const bool is_region = spec.object().starts_with("Region/");
      if (spec.type() != kMassLoss && !is_region) continue;
      WantedIncident group{spec.type(), spec.object(), spec.cause(), {}};
      const std::set<std::string_view> members(incident->status().objects().begin(),
                                               incident->status().objects().end());
      for (auto at = away_.begin(); at != away_.end();) {
        const std::string object = of_node(at->first);
        const bool is_member =
            members.contains(object) ||
            (is_region && "Region/" + region_of(*at->second) == spec.object()) ||
            (spec.type() == kMassLoss && !is_region && at->second->status().health().held());
        if (is_member) group.concerned[object] = at->second->status().health().reason();
        at = is_member ? away_.erase(at) : std::next(at);
      }
      if (!group.concerned.empty()) out_[{group.type, group.object}] = std::move(group);
    }
  }

  void add_nodes() {
    Groups held;
    Groups down;
    Groups partitioned;
    Groups silent;
    for (const auto& [name, node] : away_) {
      const pb::NodeHealth& health = node->status().health();
      Groups& groups = health.held()           ? held
                       : health.partitioned()  ? partitioned
                       : health.agent_silent() ? silent
                                               : down;
      groups[region_of(*node)].push_back(node);
    }
    add_mass_loss(held);
    add_by_region("node-down", "down", down);
    add_by_region("partition", "cut off from the server", partitioned);
    for (const auto& [region, nodes] : silent)
      for (const pb::Node* node : nodes)
        add_node("agent-silent", *node,
                 fmt::format("the agent of node {} is silent, its machine answers",
                             node->metadata().name()));
  }

  void add_rollouts(const SickList& sick, WallTime now) {
    for (const std::string& name : sick.rollouts()) {
      const auto* rollout = snapshot_.find<pb::Rollout>(name);
      if (rollout == nullptr || rollout->spec().aborted() || is_outdated(*rollout)) continue;
      const bool rolled_back = rollout->status().state() == pb::ROLLOUT_STATE_ROLLED_BACK;
      const WallTime end{std::chrono::microseconds(
          TimeUtil::TimestampToMicroseconds(rollout->status().end_time()))};
      if (rolled_back && now - end > kRolledBackFor) continue;
      const std::string object = "Rollout/" + name;
      WantedIncident& incident =
          want("rollout-failed", object,
               fmt::format("version {} of service {} does not work",
                           rollout->spec().version().empty() ? "\"\"" : rollout->spec().version(),
                           rollout->spec().service()));
      incident.concerned[object] = rollout->status().message();
    }
  }

  WantedIncidents take() { return std::move(out_); }

 private:
  using Groups = std::map<std::string, std::vector<const pb::Node*>>;  // by region

  std::string region_of(const pb::Node& node) const {
    const auto* cluster = snapshot_.find<pb::Cluster>(node.spec().cluster());
    return cluster == nullptr ? std::string() : cluster->spec().region();
  }

  // Of nodes that are not in maintenance and have been seen at all.
  size_t nodes_of_region(const std::string& region) const {
    size_t count = 0;
    for (const auto& cluster : snapshot_.find_by<pb::Cluster>("region", region))
      for (const auto& node : snapshot_.find_by<pb::Node>("cluster", cluster->metadata().name()))
        if (!is_maintained(*node) && node->status().health().state() > pb::HEALTH_UNKNOWN) ++count;
    return count;
  }

  WantedIncident& want(const std::string& type, const std::string& object, std::string cause) {
    WantedIncident& incident = out_[{type, object}];
    if (incident.type.empty()) incident = {type, object, std::move(cause), {}};
    return incident;
  }

  void add_node(const std::string& type, const pb::Node& node, std::string cause) {
    const std::string object = of_node(node.metadata().name());
    want(type, object, std::move(cause)).concerned[object] = node.status().health().reason();
  }

  void add_conditions(const pb::Node& node) {
    const pb::NodeHealth& health = node.status().health();
    const std::string& name = node.metadata().name();
    if (health.saturated_size() > 0 && health.state() != pb::HEALTH_DOWN) {
      std::string what;
      for (const std::string& one : health.saturated()) what += (what.empty() ? "" : ", ") + one;
      add_node("saturated", node, fmt::format("node {} is saturated: {}", name, what));
    }
    if (health.clock_off())
      add_node("clock", node, fmt::format("the clock of node {} is wrong", name));
  }

  void add_instance(const std::string& name) {
    const auto* instance = snapshot_.find<pb::Instance>(name);
    if (instance == nullptr) return;
    const auto* node = snapshot_.find<pb::Node>(instance->spec().node());
    if (node == nullptr || is_maintained(*node) || is_unreachable(node->status().health())) return;
    // What was never installed does not work, and that is no surprise.
    if (node->status().configuration().version().empty()) return;
    const std::string& service = instance->spec().service();
    const bool is_down =
        instance->status().state() == pb::HEALTH_DOWN && !any_instance_works(service);
    WantedIncident& incident =
        want(is_down ? "service-down" : "service-degraded", "Service/" + service,
             is_down ? fmt::format("no instance of service {} works", service)
                     : fmt::format("service {} does not work everywhere as it should", service));
    incident.concerned["Instance/" + name] = instance->status().reason();
  }

  bool any_instance_works(const std::string& service) {
    const auto known = works_.find(service);
    if (known != works_.end()) return known->second;
    bool& works = works_[service];
    snapshot_.scan_by(kind_of<pb::Instance>(), "service", service, [&](const Resource& resource) {
      const pb::Health state = resource.as<pb::Instance>().status().state();
      works = state == pb::HEALTH_HEALTHY || state == pb::HEALTH_DEGRADED;
      return !works;
    });
    return works;
  }

  void add_mass_loss(const Groups& held) {
    if (held.empty()) return;
    const auto& [region, nodes] = *held.begin();
    const bool is_region = held.size() == 1 && !region.empty() && nodes.size() > 1 &&
                           nodes.size() == nodes_of_region(region);
    WantedIncident& incident =
        want(kMassLoss, is_region ? "Region/" + region : kFleet,
             is_region ? fmt::format("all nodes of region {} vanished at once", region)
                       : "a large part of the nodes vanished at once");
    for (const auto& [name, members] : held)
      for (const pb::Node* node : members)
        incident.concerned[of_node(node->metadata().name())] = node->status().health().reason();
  }

  void add_by_region(const char* type, const char* what, const Groups& groups) {
    for (const auto& [region, nodes] : groups) {
      const bool is_region =
          !region.empty() && nodes.size() > 1 && nodes.size() == nodes_of_region(region);
      for (const pb::Node* node : nodes) {
        const std::string& name = node->metadata().name();
        if (!is_region) {
          add_node(type, *node, fmt::format("node {} is {}", name, what));
          continue;
        }
        want(type, "Region/" + region, fmt::format("all nodes of region {} are {}", region, what))
            .concerned[of_node(name)] = node->status().health().reason();
      }
    }
  }

  // Whether a later rollout of the service exists.
  bool is_outdated(const pb::Rollout& rollout) const {
    bool outdated = false;
    snapshot_.scan(kind_of<pb::Rollout>(), [&](const Resource& resource) {
      const auto& other = resource.as<pb::Rollout>();
      outdated |= other.spec().service() == rollout.spec().service() &&
                  other.metadata().name() != rollout.metadata().name() &&
                  other.metadata().create_time() > rollout.metadata().create_time();
      return !outdated;
    });
    return outdated;
  }

  const Snapshot& snapshot_;
  std::map<std::string, const pb::Node*> away_;  // and in no group yet
  std::map<std::string, bool> works_;            // by service
  WantedIncidents out_;
};

}  // namespace

SickList SickList::of(const Snapshot& snapshot) {
  SickList out;
  const auto visit = [&](const Resource& resource) {
    out.note(resource);
    return true;
  };
  snapshot.scan(kind_of<pb::Node>(), visit);
  snapshot.scan(kind_of<pb::Instance>(), visit);
  snapshot.scan(kind_of<pb::Rollout>(), visit);
  return out;
}

void SickList::note(const Resource& resource) {
  const auto set = [&](std::set<std::string>& list, bool sick) {
    if (sick)
      list.insert(resource.name());
    else
      list.erase(resource.name());
  };
  const std::string& kind = resource.kind().name;
  if (kind == "Node") set(nodes_, is_sick(resource.as<pb::Node>()));
  if (kind == "Instance") set(instances_, is_sick(resource.as<pb::Instance>()));
  if (kind == "Rollout") set(rollouts_, is_sick(resource.as<pb::Rollout>()));
}

bool SickList::take(const Change& change) {
  const std::string& kind = change.key.kind;
  if (kind == "Cluster") return true;
  if (kind != "Node" && kind != "Instance" && kind != "Rollout") return false;
  std::set<std::string>& list = kind == "Node"       ? nodes_
                                : kind == "Instance" ? instances_
                                                     : rollouts_;
  const bool was = list.contains(change.key.name);
  if (!change.after)
    list.erase(change.key.name);
  else
    note(change.after);
  // A rollout that begins ends the incident of the one before.
  return was || list.contains(change.key.name) || kind == "Rollout" ||
         (kind == "Node" && !nodes_.empty()) || (kind == "Instance" && !instances_.empty());
}

WantedIncidents plan_incidents(const Snapshot& snapshot, const SickList& sick,
                               const std::vector<std::shared_ptr<const pb::Incident>>& open,
                               WallTime now) {
  Plan plan(snapshot, sick);
  plan.keep_groups(open);
  plan.add_nodes();
  plan.add_rollouts(sick, now);
  return plan.take();
}

}  // namespace frameworks
