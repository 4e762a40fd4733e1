// The fleet's health as the server runs it: the monitor, who looks for silent nodes, the incidents
// and who is told of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/locked.h"
#include "base/reach.h"
#include "base/web_client.h"
#include "control/lease.h"
#include "runtime/health/health_monitor.h"
#include "runtime/health/incident_keeper.h"
#include "runtime/health/notifier.h"
#include "runtime/sessions/sessions.h"
#include "server/metrics.h"

namespace frameworks {

class FleetHealth {
 public:
  struct Options {
    Duration heartbeat = std::chrono::seconds(1);
    // Null: there are no other servers.
    const Lease* lease = nullptr;
    // Machines are none: nobody looks for them.
    bool simulated = false;
    std::vector<std::string> webhooks{};
    std::vector<std::string> alertmanagers{};
  };
  // All that is given outlives it.
  static Result<std::unique_ptr<FleetHealth>> start(Store& store, Clock& clock, WebClient& web,
                                                    const Options& options);

  ~FleetHealth();

  // Sets what sessions tell; nodes that `is_unplugged` says nothing of.
  void listen(Sessions::Options& options, std::function<bool(const std::string&)> is_unplugged);
  // By whom nodes are asked from now on; null before the sessions end.
  void ask_by(Sessions* sessions);
  // Keeps incidents and tells of them, through this store; null: another server does.
  void keep_incidents(Store* fenced);
  void add_metrics(Metrics& metrics);

 private:
  FleetHealth(Store& store, Clock& clock, WebClient& web)
      : store_(store), clock_(clock), web_(web) {}

  Store& store_;
  Clock& clock_;
  WebClient& web_;
  std::vector<Receiver> receivers_;
  std::shared_ptr<Locked<Sessions*>> sessions_ =
      std::make_shared<Locked<Sessions*>>(static_cast<Sessions*>(nullptr));
  std::unique_ptr<HealthMonitor> monitor_;
  std::unique_ptr<ReachDesk> reach_;  // answers to the monitor: ends first
  std::unique_ptr<IncidentKeeper> keeper_;
  Locked<std::shared_ptr<Notifier>> notifier_;
};

}  // namespace frameworks
