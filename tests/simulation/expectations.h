// What must hold, while faults last and at the end.
#pragma once

#include <string>
#include <vector>

#include "simulation/world.h"

namespace frameworks {

class Expectations {
 public:
  explicit Expectations(World& world) : world_(world), acknowledged_(world.agents().all().size()) {}

  // The node lost its power in a calm network in which all is well.
  void expect_down(const SimulatedAgent& agent) { detecting_ = {agent.index, world_.now()}; }
  // A server that was started anew may not count it as lost.
  void expect_nothing() { detecting_ = {}; }

  // After each step of the server.
  void watch();
  // Between two faults.
  void check_between();
  // When nothing is wrong any more: what is not yet as it shall be. Empty: all is.
  [[nodiscard]] std::vector<std::string> unsettled();

  // From the power cut of a single node to its being down, in ms.
  std::vector<int64_t> detections_ms;
  int false_alarms = 0;
  // Of the course of events.
  uint64_t digest = 1469598103934665603ULL;

 private:
  struct Detecting {
    int agent = -1;  // none
    MonoTime since{};
  };

  World& world_;
  Detecting detecting_;
  std::vector<Revision> acknowledged_;  // by agent
};

}  // namespace frameworks
