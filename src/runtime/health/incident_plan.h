// What goes wrong in a fleet right now, grouped by cause. Pure.
//
// | type | object | is over when |
// |---|---|---|
// | node-down | Node, or Region when none of its nodes is left | the nodes answer |
// | partition | Node, or Region | the server hears them again, or they are down |
// | agent-silent | Node | the agent speaks again, or the node is down |
// | mass-loss | Fleet/all, or Region when it is exactly its nodes | the nodes answer |
// | service-down | Service, when no instance of it is left | one works again |
// | service-degraded | Service | all of its instances on nodes that answer work |
// | saturated, clock | Node | the node is as it should be |
// | rollout-failed | Rollout | another rollout of the service began, or a while after it was rolled
// back |
//
// Instances of nodes that are silent or down belong to the nodes' incident; so do a region's nodes
// to the region's, and those of a mass loss to it, until they answer, whatever is found out about
// them. Nodes in maintenance make none.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/operation.pb.h"
#include "model/snapshot.h"
#include "store/log.h"

namespace frameworks {

// Names of what may need an incident, kept up to date from changes, so that a plan costs what is
// wrong and not the fleet.
class SickList {
 public:
  // All of a snapshot; keeps no message.
  static SickList of(const Snapshot& snapshot);
  // True when the change may make another plan.
  bool take(const Change& change);

  [[nodiscard]] const std::set<std::string>& nodes() const { return nodes_; }
  [[nodiscard]] const std::set<std::string>& instances() const { return instances_; }
  [[nodiscard]] const std::set<std::string>& rollouts() const { return rollouts_; }

 private:
  void note(const Resource& resource);
  std::set<std::string> nodes_;
  std::set<std::string> instances_;
  std::set<std::string> rollouts_;
};

struct WantedIncident {
  std::string type;
  std::string object;  // "Node/us-edge-1"
  std::string cause;
  // What is concerned, with what is said of it.
  std::map<std::string, std::string> concerned;
};
// One incident a type and object.
using IncidentKey = std::pair<std::string, std::string>;
using WantedIncidents = std::map<IncidentKey, WantedIncident>;

// `open`: the incidents that are open. A rolled back rollout is an incident for this long after its
// end, as of `now`.
inline constexpr std::chrono::minutes kRolledBackFor{5};
WantedIncidents plan_incidents(const Snapshot& snapshot, const SickList& sick,
                               const std::vector<std::shared_ptr<const pb::Incident>>& open,
                               WallTime now);

}  // namespace frameworks
