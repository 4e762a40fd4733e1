#include <fmt/format.h>

#include "cli/app.h"
#include "cli/commands.h"

namespace frameworks::cli {
namespace {

const CLI::App* find_app(const CLI::App& root, const std::string& name) {
  const size_t blank = name.find(' ');
  const CLI::App* out = root.get_subcommand(name.substr(0, blank));
  return blank == std::string::npos ? out : out->get_subcommand(name.substr(blank + 1));
}

std::string usage(const CLI::App& app, const std::string& name) {
  std::string out = "frameworks " + name;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      const std::string word = option->get_name(true);
      out += option->get_required() ? " " + word : " [" + word + "]";
    } else if (option->get_required()) {
      out += fmt::format(" {} {}", option->get_name(), option->get_type_name());
    }
  }
  return out;
}

std::string options_table(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_name() == "--help" || option->get_name() == "-h,--help") continue;
    if (out.empty()) out = "| Option | Meaning |\n|---|---|\n";
    std::string meaning = option->get_description();
    if (!option->get_default_str().empty())
      meaning += fmt::format(" (default {})", option->get_default_str());
    out += fmt::format(
        "| `{}` | {} |\n",
        option->get_positional() ? option->get_name(true) : option->get_name(false, true), meaning);
  }
  return out.empty() ? out : out + "\n";
}

std::string page(Context& context) {
  const auto app = make_app(context, [](const Command&, Run) {});
  std::string out =
      "# Command reference\n\n"
      "Printed by `frameworks docs` from the declarations of the commands; not edited by hand.\n\n"
      "## Options of every command\n\n" +
      options_table(*app) + "## Exit codes\n\n| Code | Meaning |\n|---|---|\n";
  for (const auto& [code, meaning] : exit_codes())
    out += fmt::format("| {} | {} |\n", code, meaning);
  for (const Command& command : all_commands()) {
    if (command.hidden) continue;
    const CLI::App& sub = *find_app(*app, command.name);
    out += fmt::format("\n## frameworks {}\n\n{}.\n\n", command.name, command.summary);
    if (!command.help.empty()) out += command.help + "\n\n";
    out += fmt::format("    {}\n\n", usage(sub, command.name)) + options_table(sub);
    out += "Examples:\n\n";
    for (const Example& example : command.examples)
      out += fmt::format("* `frameworks {}`: {}\n", example.line, example.what);
  }
  return out;
}

}  // namespace

Command docs_command() {
  return {
      .name = "docs",
      .summary = "Print the command reference",
      .help = {},
      .examples = {{"docs > docs/reference/cli.md", "after a change of a command"}},
      .setup = [](CLI::App&) -> Run {
        return [](Context& context) -> Result<int> {
          Context scratch = context;
          context.terminal.out << page(scratch);
          return kExitOk;
        };
      },
      .hidden = true,
  };
}

}  // namespace frameworks::cli
