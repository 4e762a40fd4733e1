// A fleet in three regions, its agents, the network and the server in the first region, on one
// clock that goes in steps.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "simulation/simulated_agents.h"
#include "simulation/simulated_server.h"
#include "simulation/stepped_store.h"

namespace frameworks {

class World {
 public:
  static constexpr int kRegions = 3;

  World(uint64_t seed, int agents);

  [[nodiscard]] MonoTime now() const { return now_; }
  // Lets time go by; `after_server` is called each time that the server has had its turn.
  void pass(Duration time);
  std::function<void()> after_server = [] {};

  [[nodiscard]] const pb::Node& node(const SimulatedAgent& agent) const;
  [[nodiscard]] const pb::NodeHealth& health(const SimulatedAgent& agent) const {
    return node(agent).status().health();
  }
  [[nodiscard]] bool is_maintained(const SimulatedAgent& agent) const;
  // Connected, reachable, and as it should be.
  [[nodiscard]] bool is_well(const SimulatedAgent& agent) const;

  // What did not hold.
  void violate(const std::string& what);
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }

  Chance chance;
  SteppedStore& store() { return *store_; }
  Network& network() { return *network_; }
  SimulatedAgents& agents() { return *agents_; }
  SimulatedServer& server() { return *server_; }
  // When the server was started last; at first 0.
  MonoTime restarted{};

 private:
  void make_fleet();
  void deliver(NetworkMessage message);

  ManualClock clock_;
  MonoTime now_;
  int64_t steps_ = 0;
  std::unique_ptr<SteppedStore> store_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<SimulatedAgents> agents_;
  std::unique_ptr<SimulatedServer> server_;
  mutable SnapshotPtr seen_;  // what node() answers from
  std::vector<std::string> violations_;
};

}  // namespace frameworks
