// What is left to do until the world is as the model says. Pure.
#pragma once

#include <string>
#include <vector>

#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// A node whose machine was switched off on purpose: nobody waits for it.
bool is_switched_off(const pb::Node& node);
// The agent has connected at least once.
bool has_joined(const pb::Node& node);
// The node runs an older configuration than the model's, or its agent has yet to join.
bool needs_configuration(const Snapshot& snapshot, const pb::Node& node);

// What an apply that changes nothing must know.
struct Unfinished {
  // The last apply did not get to its end, or something is left to do.
  bool incomplete = false;
  // Name of an apply that runs or waits; empty: none.
  std::string running;
};
Unfinished unfinished_work(const Snapshot& snapshot);

}  // namespace frameworks
