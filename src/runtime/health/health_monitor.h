// Watches the fleet's health: takes signs of life, check reports and what peers say of silent
// nodes, writes transitions to the store.
//
// Writes Node.status.health and Instance.status, nothing else. What is written follows from the
// monitor's state at the time of the write, never from the event that caused it, so late or
// repeated writes do no harm, and one write of a node waits at most. Threadsafe; heartbeats cost a
// lock and map lookups.
//
// Of several servers, each judges the nodes whose streams it has (Node.status.agent.server), and
// the holder of the lease those whose server is not alive, or that have none. Both is checked in
// the transaction that writes.
#pragma once

#include <functional>
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
  struct Options {
    HealthTimes times{};
    // Outlives the monitor; null: this server is alone.
    const Lease* lease = nullptr;
    // Asks a node to look for a silent one; false when it is not connected here. Must not block.
    // Null: nobody is asked.
    std::function<bool(const std::string& peer, const pb::ProbePeer&)> ask{};
    // The same of this server itself, which answers by probed() of peer "". May be null.
    std::function<void(const pb::ProbePeer&)> look{};
    // A thread of its own calls step(); else the owner does, every times.tick().
    bool has_thread = true;
  };
  // Begins to watch every node of the store and those that come. `store` must outlive the monitor.
  static Result<std::unique_ptr<HealthMonitor>> start(Store& store, Clock& clock, Options options);
  virtual ~HealthMonitor() = default;  // stops and joins

  // A sign of life of a node.
  virtual void heartbeat(std::string_view node) = 0;
  // The same, with what it tells of its machine.
  virtual void heartbeat(std::string_view node, const pb::Heartbeat& heartbeat) = 0;
  // The node was told to send heartbeats this often.
  virtual void expect(std::string_view node, Duration interval) = 0;
  // What a node's agent tells of one check. Reports of what it is not to check are dropped and
  // counted.
  virtual void report(std::string_view node, const pb::CheckReport& report) = 0;
  // What a peer found out about a node that it was asked for. Other answers are dropped.
  virtual void probed(std::string_view peer, const pb::ProbeResult& result) = 0;

  virtual void step() = 0;
  // Joins the thread: nobody is asked any more. What is told still is taken.
  virtual void stop() = 0;

  struct Counts {
    int held = 0;         // nodes that are held because very many vanished
    int flapping = 0;     // instances
    int64_t asked = 0;    // questions about silent nodes, since start
    int64_t refused = 0;  // reports that were dropped, since start
  };
  [[nodiscard]] virtual Counts counts() const = 0;
};

}  // namespace frameworks
