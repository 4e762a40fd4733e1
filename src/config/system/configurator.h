// Makes hosts be as the inventory says: the seam between the configure step and Ansible.
//
// A run is idempotent; what was cut off is made good by the next one. Secrets go in by the run,
// never by the inventory, and come out nowhere.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"

namespace frameworks {

enum class TaskResult { kStarted, kOk, kChanged, kSkipped, kFailed, kUnreachable };

// "started", "ok", "changed", "skipped", "failed", "unreachable"
std::string_view task_result_name(TaskResult result);

// One task on one host.
struct ConfigureEvent {
  std::string host;
  std::string role;  // empty for tasks of the play itself
  std::string task;
  TaskResult result = TaskResult::kStarted;
  std::string message;  // why it failed, or which files changed
};

struct ConfigureRun {
  // Which hosts of the inventory.
  std::vector<std::string> hosts;
  // As runtime/inventory gives it, with `_meta`.
  boost::json::object inventory;
  // What agents need to reach the server: "address:port", PEM of the CA, and the version of the
  // package (empty: any). Without a server no agent is installed.
  std::string agent_server;
  std::string agent_ca;
  std::string agent_version;
  // By node, for those that have not joined.
  std::map<std::string, std::string> join_tokens;
  // OpenSSH public host keys by node ("ssh-ed25519 AAAA…"); a host without one is not trusted.
  std::map<std::string, std::string> host_keys;
  std::chrono::milliseconds timeout{std::chrono::minutes(30)};
  std::stop_token stop;
  // Called on the thread that called configure().
  std::function<void(const ConfigureEvent&)> on_event;
};

struct HostOutcome {
  bool converged = false;
  int changed = 0;    // tasks that changed something
  std::string error;  // "task postgresql : Configure and run: ..."; empty when converged
};

struct ConfigureOutcome {
  // Every host of the run.
  std::map<std::string, HostOutcome> hosts;
  [[nodiscard]] bool converged() const;
  // Failing hosts with task and error, a clause each; empty when there are none.
  [[nodiscard]] std::string error() const;
};

class Configurator {
 public:
  virtual ~Configurator() = default;
  // Blocks. Hosts that fail do not hold up others and are no error: see the outcome. kCancelled,
  // kDeadlineExceeded, kInternal when the run as a whole could not be done. Threadsafe.
  virtual Result<ConfigureOutcome> configure(const ConfigureRun& run) = 0;
};

}  // namespace frameworks
