// Subprocesses: run to the end, or line by line.
//
// Arguments are never given to a shell. Secrets go through `input` or a file, never `argv`.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace frameworks {

struct Command {
  std::vector<std::string> argv;
  std::string input{};  // standard input
  // Added to this process's environment.
  std::map<std::string, std::string> environment{};
  std::string directory{};
  // The process group is killed when it takes longer (kDeadlineExceeded).
  std::chrono::milliseconds timeout{60'000};
  // The process group gets SIGTERM, then SIGKILL after 5 s, when requested (kCancelled).
  std::stop_token stop{};
};

struct Output {
  int exit_code = 0;  // 128 + n after signal n
  std::string out;
  std::string err;
};

// Runs to the end. An exit code other than 0 is not an error here; not starting is.
Result<Output> run(const Command& command);

// Like run(), but an exit code other than 0 is kInternal with the last line of stderr as message.
Result<std::string> run_checked(const Command& command);

// Runs to the end and hands over standard output line by line as it comes, on this thread.
// Output::out stays empty.
Result<Output> run_lines(const Command& command, const std::function<void(std::string_view)>& line);

}  // namespace frameworks
