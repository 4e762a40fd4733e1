// Watches the fleet's health: takes signs of life and check reports, writes transitions to the
// store.
//
// Writes Node.status.health and Instance.status, nothing else. What is written follows from the
// monitor's state at the time of the write, never from the event that caused it, so late or
// repeated writes do no harm. Threadsafe; heartbeats cost a lock and a map lookup.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"
#include "runtime/health/node_health.h"
#include "store/store.h"

namespace frameworks {

class HealthMonitor {
 public:
  // Begins to watch every node of the store and those that come. `store` must outlive the monitor.
  static Result<std::unique_ptr<HealthMonitor>> start(Store& store, Clock& clock,
                                                      HealthTimes times);
  virtual ~HealthMonitor() = default;  // stops and joins

  // A sign of life of a node.
  virtual void heartbeat(std::string_view node) = 0;
  // What a node's agent tells of one check. Reports on instances of other nodes are dropped.
  virtual void report(std::string_view node, const pb::CheckReport& report) = 0;
};

}  // namespace frameworks
