#include <fmt/format.h>

#include <map>

#include "cli/app.h"
#include "cli/commands.h"
#include "model/registry.h"

namespace frameworks::cli {
namespace {

// What may stand after the words so far: "" → commands, "operation" → list, watch, cancel.
struct Words {
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> after;
  std::map<std::string, std::vector<std::string>> options;  // by command
};

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  return out;
}

Words collect(Context& context) {
  const auto app = make_app(context, [](const Command&, Run) {});
  Words out;
  out.options[""] = options_of(*app);
  for (const CLI::App* sub : app->get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->get_group().empty()) continue;
    out.after[""].emplace_back(sub->get_name(), sub->get_description());
    out.options[sub->get_name()] = options_of(*sub);
    for (const CLI::App* inner : sub->get_subcommands([](const CLI::App*) { return true; })) {
      out.after[sub->get_name()].emplace_back(inner->get_name(), inner->get_description());
      out.options[sub->get_name() + " " + inner->get_name()] = options_of(*inner);
    }
  }
  for (const char* command : {"get", "describe", "delete", "watch"})
    for (const Kind& kind : all_kinds()) out.after[command].emplace_back(kind.plural, "");
  return out;
}

std::string names(const std::vector<std::pair<std::string, std::string>>& words) {
  std::string out;
  for (const auto& [name, what] : words) out += (out.empty() ? "" : " ") + name;
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// Both shells look up "first" and "first second" in the same table of cases.
std::string cases(const Words& words) {
  std::string out;
  for (const auto& [before, after] : words.after)
    out += fmt::format("    \"{}\") words=\"{}\" ;;\n", before, names(after));
  return out;
}

std::string option_cases(const Words& words) {
  std::string out;
  for (const auto& [command, options] : words.options)
    out += fmt::format("    \"{}\") options=\"{}\" ;;\n", command, joined(options));
  return out;
}

std::string bash(const Words& words) {
  return "# bash completion of frameworks: source <(frameworks completion bash)\n"
         "_frameworks() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} before=\"\" words=\"\" options=\"\" i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    [[ ${COMP_WORDS[i]} == -* ]] || before=\"${before:+$before }${COMP_WORDS[i]}\"\n"
         "  done\n"
         "  case ${COMP_WORDS[COMP_CWORD-1]} in -f|--file|--token-file|--ca-file)\n"
         "    COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
         "  esac\n"
         "  case $before in\n" +
         cases(words) +
         "  esac\n"
         "  case $before in\n" +
         option_cases(words) +
         "  esac\n"
         "  [[ $current == -* ]] && words=\"$options --server --token-file --ca-file --json "
         "--no-color\"\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -F _frameworks frameworks\n";
}

// zsh keeps the line in the array `words`, so the table's variable is renamed on the way.
std::string zsh(const Words& words) {
  const auto renamed = [](std::string text) {
    for (size_t at = 0; (at = text.find(" words=", at)) != std::string::npos; at += 8)
      text.replace(at, 7, " found=");
    return text;
  };
  return "#compdef frameworks\n"
         "# zsh completion of frameworks: source <(frameworks completion zsh)\n"
         "_frameworks() {\n"
         "  local before=\"\" found=\"\" options=\"\" i\n"
         "  for ((i = 2; i < CURRENT; i++)); do\n"
         "    [[ ${words[i]} == -* ]] || before=\"${before:+$before }${words[i]}\"\n"
         "  done\n"
         "  case ${words[CURRENT-1]} in -f|--file|--token-file|--ca-file) _files; return ;; esac\n"
         "  case $before in\n" +
         renamed(cases(words)) +
         "  esac\n"
         "  case $before in\n" +
         option_cases(words) +
         "  esac\n"
         "  compadd -- ${=found}\n"
         "  [[ ${words[CURRENT]} == -* ]] && compadd -- ${=options} --server --token-file "
         "--ca-file --json"
         " --no-color\n"
         "}\n"
         "compdef _frameworks frameworks\n";
}

std::string fish(const Words& words) {
  std::string out =
      "# fish completion of frameworks: frameworks completion fish | source\n"
      "complete -c frameworks -f\n"
      "complete -c frameworks -s f -l file -r -F\n";
  for (const auto& [before, after] : words.after)
    for (const auto& [name, what] : after)
      out += fmt::format("complete -c frameworks -n '{}' -a '{}' -d '{}'\n",
                         before.empty() ? "__fish_use_subcommand"
                                        : fmt::format("__fish_seen_subcommand_from {}", before),
                         name, what.find('\'') == std::string::npos ? what : "");
  for (const auto& [command, options] : words.options)
    for (const std::string& option : options)
      if (command.find(' ') == std::string::npos)
        out += fmt::format(
            "complete -c frameworks {}-l {}\n",
            command.empty() ? "" : fmt::format("-n '__fish_seen_subcommand_from {}' ", command),
            option.substr(2));
  return out;
}

}  // namespace

Command completion_command() {
  return {
      .name = "completion",
      .summary = "Print completion for a shell",
      .help = {},
      .examples = {{"completion bash > /etc/bash_completion.d/frameworks", "for everybody"},
                   {"completion fish | source", "for this shell"}},
      .setup = [](CLI::App& app) -> Run {
        auto shell = std::make_shared<std::string>();
        app.add_option("SHELL", *shell, "bash, zsh or fish")
            ->required()
            ->check(CLI::IsMember({"bash", "zsh", "fish"}));
        return [shell](Context& context) -> Result<int> {
          Context scratch = context;
          const Words words = collect(scratch);
          context.terminal.out << (*shell == "bash"  ? bash(words)
                                   : *shell == "zsh" ? zsh(words)
                                                     : fish(words));
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
