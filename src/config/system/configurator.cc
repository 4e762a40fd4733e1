#include "config/system/configurator.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {

std::string_view task_result_name(TaskResult result) {
  switch (result) {
    case TaskResult::kStarted:
      return "started";
    case TaskResult::kOk:
      return "ok";
    case TaskResult::kChanged:
      return "changed";
    case TaskResult::kSkipped:
      return "skipped";
    case TaskResult::kFailed:
      return "failed";
    case TaskResult::kUnreachable:
      return "unreachable";
  }
  return "unknown";
}

bool ConfigureOutcome::converged() const {
  return std::all_of(hosts.begin(), hosts.end(),
                     [](const auto& host) { return host.second.converged; });
}

std::string ConfigureOutcome::error() const {
  std::string text;
  for (const auto& [host, outcome] : hosts)
    if (!outcome.converged)
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", host, outcome.error);
  return text;
}

}  // namespace frameworks
