// Watches the fleet's health: takes signs of life and check reports, writes transitions to the
// store.
//
// Writes Node.status.health and Instance.status, nothing else. What is written follows from the
// monitor's state at the time of the write, never from the event that caused it, so late or
// repeated writes do no harm. Threadsafe; heartbeats cost a lock and a map lookup.
//
// Of several servers, each judges the nodes whose streams it has (Node.status.agent.server), and
// the holder of the lease those whose server is not alive, or that have none. Both is checked in
// the transaction that writes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "control/lease.h"
#include "frameworks/v1/agent.pb.h"
#include "runtime/health/node_health.h"
#include "store/store.h"

namespace frameworks {

class HealthMonitor {
 public:
  // Begins to watch every node of the store and those that come. `store` and `lease` must outlive
  // the monitor; without a lease this server is alone.
  static Result<std::unique_ptr<HealthMonitor>> start(Store& store, Clock& clock, HealthTimes times,
                                                      const Lease* lease = nullptr);
  virtual ~HealthMonitor() = default;  // stops and joins

  // A sign of life of a node.
  virtual void heartbeat(std::string_view node) = 0;
  // What a node's agent tells of one check. Reports on instances of other nodes are dropped.
  virtual void report(std::string_view node, const pb::CheckReport& report) = 0;
};

}  // namespace frameworks
