// A command of the command line: a name, what it does, help, examples that work, and what runs it.
//
// Everything that is known of a command is in its file; help, completion and the reference page are
// made from this declaration.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/web_client.h"
#include "cli/client.h"
#include "cli/terminal.h"

namespace frameworks::cli {

// What every command may use.
struct Context {
  Terminal terminal;
  Profile profile;    // of flags and environment
  bool json = false;  // --json
  Clock& clock;
  // Requested when the user interrupts a command that called on_interrupt().
  std::stop_token stop{};
  // Tells that from now on an interrupt asks `stop` to be heeded instead of ending the program.
  std::function<void()> on_interrupt = [] {};
  // Asks foreign servers; null: the real one.
  WebClient* web = nullptr;
  // Asks the person at the terminal; empty: nobody is there.
  std::function<bool(const std::string& question)> confirm{};

  Result<std::unique_ptr<Client>> connect() const {
    ASSIGN_OR_RETURN(const Profile found, find_profile(profile));
    return Client::connect(found);
  }
};

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitBadInput = 2;
inline constexpr int kExitUnreachable = 3;
inline constexpr int kExitOperationFailed = 4;
inline constexpr int kExitInterrupted = 130;

struct Example {
  std::string line;  // without "frameworks "
  std::string what;
};

// The exit code, or the error, which is printed and becomes one.
using Run = std::function<Result<int>(Context&)>;

struct Command {
  std::string name;  // "get", "operation list"
  std::string summary;
  std::string help;
  std::vector<Example> examples;
  // Declares the options and gives what runs after they were read.
  std::function<Run(CLI::App&)> setup;
  bool hidden = false;
};

// In the order of the help.
const std::vector<Command>& all_commands();
// What a word before subcommands is about, e.g. "operation".
std::string group_summary(const std::string& group);

}  // namespace frameworks::cli
