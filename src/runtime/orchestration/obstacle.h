// Why a service may not run on a node: one constraint of its placement at a time. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// In the order in which they are looked at.
enum class Constraint {
  kTier,
  kRegion,
  kCluster,
  kLabels,
  kAvailability,
  kApart,
  kPort,
  kCpus,
  kMemory,
};
inline constexpr int kConstraints = 9;
// "tier", "region", ...
std::string_view constraint_name(Constraint constraint);

// The first constraint that keeps a service off a node.
struct Obstacle {
  Constraint constraint = Constraint::kTier;
  // A clause about the node, e.g. "has 512 of the 1024 MiB".
  std::string message;
  // How much of what is needed the node lacks, from 0 (next to nothing) to 1 (all of it): how close
  // it came. 1 for constraints that have no amount.
  double lack = 1;
};

// Whether the placement counts its instances, instead of having one on every node.
bool is_counted(const pb::Placement& placement);

// What must hold as long as the instance is there: tier, region, cluster, labels; for counted
// instances also that the node is not drained.
std::optional<Obstacle> selector_obstacle(const Snapshot& snapshot, const pb::Service& service,
                                          const pb::Node& node);

// Whether an instance of one of the two may not share a node with one of the other.
bool keep_apart(const pb::Service& a, const pb::Service& b);

// What must hold besides when an instance comes: nobody to keep apart from, its ports free, enough
// cores and memory. What is there already is not sent away for want of room.
std::optional<Obstacle> room_obstacle(const Snapshot& snapshot, const pb::Service& service,
                                      const pb::Node& node);

}  // namespace frameworks
