// The nodes' agents: they connect, take plans, report, look for others, and tell that they live.
//
// Nothing looks at each of them in each step: whoever has something to do next is in a calendar.
#pragma once

#include <deque>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/snapshot.h"
#include "simulation/network.h"

namespace frameworks {

struct SimulatedAgent {
  std::string name;
  int index = 0;
  int region = 0;
  // What is done to it.
  bool powered = true;
  bool frozen = false;    // SIGSTOP: nothing is read or said, the machine answers
  bool cut = false;       // from the server only
  bool failing = false;   // its check
  int64_t clock_off = 0;  // seconds
  // How it is.
  uint64_t stream = 0;  // 0: away
  std::string hash;
  Revision applied = 0;

 private:
  friend class SimulatedAgents;
  Duration interval = std::chrono::seconds(1);
  MonoTime next_beat{};
  MonoTime reconnect_at{};
  MonoTime wakes_at = MonoTime::max();
  std::deque<NetworkMessage> unread;  // while it is stopped
  pb::ChecksSection checks;
  int64_t sequence = 0;
};

class SimulatedAgents {
 public:
  // `open` begins a stream of a node with the server.
  using Open = std::function<uint64_t(const std::string& node)>;
  SimulatedAgents(Chance& chance, ManualClock& clock, Duration step, int count, int regions,
                  Network& network, Open open);

  [[nodiscard]] std::vector<SimulatedAgent>& all() { return agents_; }
  [[nodiscard]] SimulatedAgent& any() { return agents_[chance_.generator()() % agents_.size()]; }
  [[nodiscard]] SimulatedAgent& find(const std::string& name) {
    return agents_[static_cast<size_t>(by_name_.at(name))];
  }
  // Regions that the server's is cut off from.
  std::set<int> cut_regions;
  // Whether packets of the node and the server arrive at each other.
  [[nodiscard]] bool is_linked(const SimulatedAgent& agent) const {
    return agent.powered && !agent.cut && !cut_regions.contains(agent.region);
  }

  // A step passed: whoever has something to do does it.
  void step();
  // A message of the server has arrived.
  void take(NetworkMessage message);
  // Its stream is over; it will try another.
  void disconnect(SimulatedAgent& agent);
  void thaw(SimulatedAgent& agent);
  void report(SimulatedAgent& agent);
  void say(SimulatedAgent& agent, pb::AgentMessage message);

 private:
  struct Waking {
    int agent;
    MonoTime at;
  };
  void wake(SimulatedAgent& agent, MonoTime at);
  void live(SimulatedAgent& agent);
  void connect(SimulatedAgent& agent);
  void read(SimulatedAgent& agent, const pb::ServerMessage& message);
  void apply(SimulatedAgent& agent, const pb::PlanUpdate& plan);
  void probe(SimulatedAgent& agent, const pb::ProbePeer& probe);
  [[nodiscard]] bool reaches(const SimulatedAgent& a, const SimulatedAgent& b) const;

  Chance& chance_;
  ManualClock& clock_;
  Network& network_;
  const Open open_;
  MonoTime now_;
  Calendar<Waking> waking_;
  std::vector<SimulatedAgent> agents_;
  std::unordered_map<std::string, int> by_name_;
};

}  // namespace frameworks
