// The agent's command line: every option is declared once, with its help, default and example.
//
// What is not given as an option is taken from the environment, else from the default.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "base/error.h"

namespace frameworks {

struct CommandLine {
  std::string command = "run";
  AgentOptions agent;
  std::filesystem::path tokens;  // of `simulate`
  bool json = false;             // of `status`
};

using Environment = std::function<const char*(const char* name)>;

// kInvalidArgument names the option and says what is wrong with it.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments,
                                       const Environment& environment);

// What `--help` prints.
std::string help_text();

}  // namespace frameworks
