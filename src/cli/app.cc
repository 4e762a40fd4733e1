#include "cli/app.h"

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <map>

namespace frameworks::cli {
namespace {

std::string examples_text(const Command& command) {
  std::string out;
  if (!command.help.empty()) out += command.help + "\n\n";
  if (!command.examples.empty()) out += "Examples:\n";
  for (const Example& example : command.examples)
    out += fmt::format("  frameworks {:<44} {}\n", example.line, example.what);
  return out;
}

std::string program_footer() {
  std::string out = "Exit codes:\n";
  for (const auto& [code, meaning] : exit_codes())
    out += fmt::format("  {:<4} {}\n", code, meaning);
  return out +
         "\nThe server, the token and the CA come from the options above, else from "
         "FRAMEWORKS_SERVER,\n"
         "FRAMEWORKS_TOKEN_FILE and FRAMEWORKS_CA_FILE, else from "
         "~/.config/frameworks/profile.json, else\n"
         "from /run/frameworks/profile.json. Colours are used on terminals only, and not with "
         "NO_COLOR.\n";
}

void add_global_options(CLI::App& app, Context& context) {
  app.add_option("--server", context.profile.server,
                 "Quartermaster's address, host:port; several with commas between")
      ->envname("FRAMEWORKS_SERVER");
  app.add_option("--token-file", context.profile.token_file, "File with the bearer token")
      ->envname("FRAMEWORKS_TOKEN_FILE");
  app.add_option("--ca-file", context.profile.ca_file, "File with the CA that signed the server")
      ->envname("FRAMEWORKS_CA_FILE");
  app.add_flag("--json", context.json, "Print JSON");
  app.add_flag_callback(
      "--no-color", [&context] { context.terminal.colours = false; }, "Print without colours");
}

}  // namespace

std::vector<std::pair<int, std::string>> exit_codes() {
  return {{kExitOk, "done"},
          {kExitFailure, "something failed"},
          {kExitBadInput, "bad input: the command line, a fleet file; nothing was changed"},
          {kExitUnreachable, "the server cannot be reached"},
          {kExitOperationFailed, "the operation that the command started failed or was cancelled"},
          {kExitInterrupted, "interrupted; an operation that was started goes on"}};
}

std::unique_ptr<CLI::App> make_app(Context& context,
                                   const std::function<void(const Command&, Run)>& select) {
  auto app = std::make_unique<CLI::App>("The fleet from the command line", "frameworks");
  app->require_subcommand(0, 1);
  app->footer(program_footer());
  add_global_options(*app, context);
  std::map<std::string, CLI::App*> groups;
  for (const Command& command : all_commands()) {
    CLI::App* parent = app.get();
    std::string name = command.name;
    if (const size_t blank = name.find(' '); blank != std::string::npos) {
      const std::string group = name.substr(0, blank);
      name.erase(0, blank + 1);
      CLI::App*& found = groups[group];
      if (found == nullptr) {
        found = app->add_subcommand(group, group_summary(group));
        found->require_subcommand(1);
        found->fallthrough();
      }
      parent = found;
    }
    CLI::App* sub = parent->add_subcommand(name, command.summary);
    sub->footer(examples_text(command));
    sub->fallthrough();
    if (command.hidden) sub->group("");
    Run run = command.setup(*sub);
    sub->callback([&command, run, select] { select(command, run); });
  }
  return app;
}

int report(const Error& error, const Terminal& terminal) {
  const auto& violations = error.violations();
  for (const Violation& violation : violations) terminal.err << violation.text() << "\n";
  if (violations.size() > 1)
    terminal.err << terminal.paint(Colour::kRed, fmt::format("{} violations, nothing was changed",
                                                             violations.size()))
                 << "\n";
  if (violations.empty())
    terminal.err << terminal.paint(Colour::kRed, "error: ") << error.message() << "\n";
  switch (error.code()) {
    case Code::kInvalidArgument:
      return kExitBadInput;
    case Code::kUnavailable:
      return kExitUnreachable;
    case Code::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailure;
  }
}

int run_cli(const std::vector<std::string>& words, Context& context) {
  Run selected;
  const auto app = make_app(context, [&](const Command&, Run run) { selected = std::move(run); });
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app->parse(reversed);
  } catch (const CLI::ParseError& error) {
    const int code = app->exit(error, context.terminal.out, context.terminal.err);
    return code == 0 ? kExitOk : kExitBadInput;
  }
  if (!selected) {
    context.terminal.out << app->help();
    return words.empty() ? kExitOk : kExitBadInput;
  }
  const Result<int> code = selected(context);
  if (!code) return report(code.error(), context.terminal);
  return *code;
}

}  // namespace frameworks::cli
