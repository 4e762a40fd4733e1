#include "config/system/playbook_output.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/parse.hpp>
#include <optional>

#include "base/text.h"

namespace frameworks {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

int number_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? static_cast<int>(value->get_int64()) : 0;
}

std::optional<TaskResult> result_of(std::string_view name) {
  constexpr std::array kAll{TaskResult::kStarted, TaskResult::kOk,     TaskResult::kChanged,
                            TaskResult::kSkipped, TaskResult::kFailed, TaskResult::kUnreachable};
  for (const TaskResult result : kAll)
    if (task_result_name(result) == name) return result;
  return std::nullopt;
}

}  // namespace

void PlaybookOutput::line(std::string_view text) {
  boost::system::error_code failed;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), failed);
  const json::object* event = failed ? nullptr : value.if_object();
  const std::string sort = event == nullptr ? std::string() : text_of(*event, "event");
  if (sort == "host") {
    host_event(*event);
  } else if (sort == "stats") {
    stats(*event);
  } else if (sort != "play" && !trim(text).empty()) {
    stray_ = trim(text);
  }
}

void PlaybookOutput::host_event(const json::object& object) {
  const auto result = result_of(text_of(object, "result"));
  if (!result) return;
  const ConfigureEvent event{.host = text_of(object, "host"),
                             .role = text_of(object, "role"),
                             .task = text_of(object, "task"),
                             .result = *result,
                             .message = text_of(object, "message")};
  HostOutcome& host = hosts_[event.host];
  if (*result == TaskResult::kFailed || *result == TaskResult::kUnreachable)
    host.error = fmt::format("task {}{}{}: {}", event.role, event.role.empty() ? "" : " : ",
                             event.task, event.message);
  if (on_event_) on_event_(event);
}

void PlaybookOutput::stats(const json::object& object) {
  complete_ = true;
  const json::value* hosts = object.if_contains("hosts");
  if (hosts == nullptr || !hosts->is_object()) return;
  for (const auto& [name, value] : hosts->get_object()) {
    if (!value.is_object()) continue;
    const json::object& counts = value.get_object();
    HostOutcome& host = hosts_[std::string(name)];
    host.changed = number_of(counts, "changed");
    host.converged = number_of(counts, "failures") == 0 && number_of(counts, "unreachable") == 0;
    if (host.converged) host.error.clear();
    if (!host.converged && host.error.empty()) host.error = "failed without a message";
  }
}

}  // namespace frameworks
