// Reads what the collection's callback `frameworks.infra.events` prints: one JSON object a line.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "config/system/configurator.h"

namespace frameworks {

class PlaybookOutput {
 public:
  explicit PlaybookOutput(std::function<void(const ConfigureEvent&)> on_event)
      : on_event_(std::move(on_event)) {}

  // Lines that are not ours (warnings of Ansible) are kept for error messages only.
  void line(std::string_view text);

  // The playbook told how it ended.
  [[nodiscard]] bool complete() const { return complete_; }
  // Hosts that were seen; converged only once complete.
  [[nodiscard]] const std::map<std::string, HostOutcome>& hosts() const { return hosts_; }
  // The last line that was not an event.
  [[nodiscard]] const std::string& stray() const { return stray_; }

 private:
  void host_event(const boost::json::object& event);
  void stats(const boost::json::object& event);

  std::function<void(const ConfigureEvent&)> on_event_;
  std::map<std::string, HostOutcome> hosts_;
  std::string stray_;
  bool complete_ = false;
};

}  // namespace frameworks
