// What of the server takes part in a simulation: the store, the sessions' part that is without
// threads (NodeSession) with the plans of checks, the health monitor and the keeper of incidents.
//
// A restart throws away all but the store, as a crash does.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "runtime/health/health_monitor.h"
#include "runtime/health/incident_keeper.h"
#include "runtime/sessions/heartbeat_pace.h"
#include "runtime/sessions/node_session.h"
#include "simulation/network.h"
#include "simulation/stepped_store.h"

namespace frameworks {

class SimulatedServer {
 public:
  // `send` takes what is for a node of stream `id`.
  using Send = std::function<void(const std::string& node, uint64_t stream, pb::ServerMessage)>;
  SimulatedServer(SteppedStore& store, Clock& clock, Send send);

  void restart();
  // A node opens a stream; an earlier one of it is over.
  uint64_t open(const std::string& node);
  void receive(const std::string& node, uint64_t stream, const pb::AgentMessage& message);
  void heartbeat(const std::string& node, uint64_t stream, const Beat& beat);
  // Every 200 ms; the incidents' every half a second is every third.
  void step();

  // Nodes that acknowledged something since this was asked last.
  std::vector<std::string> take_acknowledging() { return std::exchange(acknowledging_, {}); }
  // The newest revision that the node has acknowledged, by any server.
  [[nodiscard]] Revision acknowledged(const std::string& node) const;
  // Whether the node has all of its plan and said so.
  [[nodiscard]] bool converged(const std::string& node) const;
  [[nodiscard]] HealthMonitor::Counts counts() const { return monitor_->counts(); }

 private:
  struct Stream {
    uint64_t id = 0;
    NodeSession session;
    std::string acknowledged;  // hash of the plan that the node has
  };
  NodePlan plan_of(const std::string& node);
  void flush(const std::string& node, Stream& stream);
  void follow_store();
  void keep_pace();

  SteppedStore& store_;
  Clock& clock_;
  Send send_;
  std::unordered_map<std::string, Stream> streams_;
  std::unordered_map<std::string, NodePlan> plans_;  // of connected nodes
  std::unordered_map<std::string, Revision> acknowledged_;
  std::vector<std::string> acknowledging_;
  pb::Heartbeat beat_;  // the one that arrives
  uint64_t opened_ = 0;
  int steps_ = 0;
  HeartbeatPace pace_{std::chrono::seconds(1)};
  std::unique_ptr<Subscription> subscription_;
  std::unique_ptr<HealthMonitor> monitor_;
  std::unique_ptr<IncidentKeeper> keeper_;
};

}  // namespace frameworks
