// One attempt at one check, driven by poll(2): never blocks.
#pragma once

#include <poll.h>

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

struct ProbeOutcome {
  bool healthy = false;
  std::string reason{};   // one clause
  bool degraded = false;  // works, but not as it should; not healthy then
};

class ProbeAttempt {
 public:
  virtual ~ProbeAttempt() = default;
  // What to poll for; fd -1: nothing, call step() at once.
  [[nodiscard]] virtual pollfd wants() const = 0;
  // After poll(2), or when the deadline has passed; the outcome once there is one.
  virtual std::optional<ProbeOutcome> step(MonoTime now) = 0;
  [[nodiscard]] virtual MonoTime deadline() const = 0;
};

// Starts attempts; the seam between health checks and the network.
class Prober {
 public:
  virtual ~Prober() = default;
  virtual std::unique_ptr<ProbeAttempt> start(const pb::InstanceChecks::Probe& probe,
                                              MonoTime now) = 0;
};

// TCP: the connection opens. HTTP/1.1: GET answers with a status below 400. gRPC: grpc_probe.h.
// Commands: command_probe.h.
std::unique_ptr<Prober> make_network_prober();
// Finds everything healthy without looking; for simulated nodes.
std::unique_ptr<Prober> make_simulated_prober();

}  // namespace frameworks
