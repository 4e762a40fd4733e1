// One schedule: a fleet, faults at random, then calm, and what must have held.
//
// All of it follows from the seed. The world: three regions, the server in the first; messages take
// 5 to 50 ms, and while faults last some are lost (then the stream breaks, as one does; heartbeats
// are just lost), doubled, or late by up to 3 s. The faults: power cuts, agents that are stopped,
// nodes and whole regions that the server does not reach, very many nodes at once, checks that fail
// and that flap, clocks that are off, agents that report what is not theirs, restarts of the
// server, nodes taken for maintenance.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace frameworks {

struct SimulationOptions {
  uint64_t seed = 1;
  int agents = 500;
  int faults = 12;
};

struct SimulationResult {
  // What did not hold, each one clause; empty: all did.
  std::vector<std::string> violations;
  // From the power cut of a single node to its being down, in ms; only of calm networks.
  std::vector<int64_t> detections_ms;
  // Nodes that were found down while they were there and reachable from the server.
  int false_alarms = 0;
  int64_t simulated_ms = 0;
  int64_t messages = 0;
  int64_t revisions = 0;
  int incidents = 0;
  // Of the course of events: the same seed gives the same.
  uint64_t digest = 0;
};

SimulationResult simulate(const SimulationOptions& options);

}  // namespace frameworks
