// Reads the words of the command line, runs the command, prints its error, gives the exit code.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"

namespace frameworks::cli {

// `words` without the program's name.
int run_cli(const std::vector<std::string>& words, Context& context);

// The declarations as CLI11 knows them, e.g. to list options; `select` is called with the command
// that was named and what runs it.
std::unique_ptr<CLI::App> make_app(Context& context,
                                   const std::function<void(const Command&, Run)>& select);

// "0  done", ...: for help and reference.
std::vector<std::pair<int, std::string>> exit_codes();

// Prints the error as people read it and gives its exit code.
int report(const Error& error, const Terminal& terminal);

}  // namespace frameworks::cli
