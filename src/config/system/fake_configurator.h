// Stands in for Ansible where machines are simulated, and in tests: it installs nothing. What it
// does for a node is what a simulated agent waits for: the join token as DIR/<node>.token. A file
// DIR/<node>.error makes the node fail with what it says: a rehearsal of what cannot be installed.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/locked.h"
#include "base/text.h"
#include "config/system/configurator.h"

namespace frameworks {

class FakeConfigurator final : public Configurator {
 public:
  explicit FakeConfigurator(std::filesystem::path tokens) : tokens_(std::move(tokens)) {}

  // From now on `host` fails at a task, with this error; an empty error: works again.
  void fail(const std::string& host, std::string error) {
    failures_.with([&](auto& failures) { failures[host] = std::move(error); });
  }

  Result<ConfigureOutcome> configure(const ConfigureRun& run) override {
    ConfigureOutcome outcome;
    for (const std::string& host : run.hosts) {
      if (run.stop.stop_requested()) return Error(Code::kCancelled, "configuration was cancelled");
      ASSIGN_OR_RETURN(outcome.hosts[host], configure_host(run, host));
    }
    return outcome;
  }

 private:
  Result<HostOutcome> configure_host(const ConfigureRun& run, const std::string& host) {
    tell(run, host, TaskResult::kStarted, "");
    if (!contains(run.inventory, host)) {
      return HostOutcome{.converged = false, .changed = 0, .error = "is not in the inventory"};
    }
    std::string error = failures_.with([&](auto& failures) { return failures[host]; });
    if (const auto rehearsed = read_file(tokens_ / (host + ".error"))) error = trim(*rehearsed);
    if (!error.empty()) {
      tell(run, host, TaskResult::kFailed, error);
      return HostOutcome{
          .converged = false, .changed = 0, .error = "task agent : Simulate: " + error};
    }
    const auto token = run.join_tokens.find(host);
    const bool hands_over = token != run.join_tokens.end();
    if (hands_over) RETURN_IF_ERROR(write_file(tokens_ / (host + ".token"), token->second, 0600));
    tell(run, host, hands_over ? TaskResult::kChanged : TaskResult::kOk, "");
    return HostOutcome{.converged = true, .changed = hands_over ? 1 : 0, .error = ""};
  }

  static bool contains(const boost::json::object& inventory, const std::string& host) {
    const boost::json::value* meta = inventory.if_contains("_meta");
    const boost::json::value* vars =
        meta != nullptr && meta->is_object() ? meta->get_object().if_contains("hostvars") : nullptr;
    return vars != nullptr && vars->is_object() && vars->get_object().contains(host);
  }

  static void tell(const ConfigureRun& run, const std::string& host, TaskResult result,
                   std::string message) {
    if (run.on_event) run.on_event({host, "agent", "Simulate", result, std::move(message)});
  }

  const std::filesystem::path tokens_;
  Locked<std::map<std::string, std::string>> failures_;
};

}  // namespace frameworks
