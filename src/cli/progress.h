// Follows an operation to its end: a live view on terminals, plain lines elsewhere, JSON lines with
// --json. A server that goes away in the midst is waited for, and the view goes on where it was.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command.h"
#include "frameworks/v1/operation.pb.h"

namespace frameworks::cli {

// What the events so far say. Pure, so that it can be shown in every form.
class ProgressView {
 public:
  explicit ProgressView(std::string operation) : operation_(std::move(operation)) {}

  // A line to keep above the live view: a step that ended, something that failed. Often empty.
  std::string take(const pb::OperationEvent& event);
  void set_notice(std::string notice) { notice_ = std::move(notice); }
  // The live view: what runs, how far it is, how long it takes, and what each node is at.
  [[nodiscard]] std::vector<std::string> lines(const Terminal& terminal, WallTime now) const;

 private:
  struct Task {
    std::string layer;
    std::string message;
    pb::OperationEventResult result = pb::OPERATION_EVENT_RESULT_UNSPECIFIED;
    WallTime since{};
  };
  std::string operation_;
  std::string layer_;
  std::string step_;
  std::string notice_;
  int64_t done_ = 0;
  int64_t total_ = 0;
  WallTime step_start_{};
  std::map<std::string, Task> tasks_;
};

// "12:00:01 config  core-1: task postgresql : install packages (changed) 3 of 5"
std::string event_line(const pb::OperationEvent& event, const Terminal& terminal);

// The exit code: 0, or 4 when the operation failed or was cancelled.
Result<int> follow_operation(Context& context, Client& client, const std::string& operation);

}  // namespace frameworks::cli
