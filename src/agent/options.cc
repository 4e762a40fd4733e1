#include "agent/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace frameworks {
namespace {

struct Option {
  const char* name;         // "--server"
  const char* value;        // what follows, for the help
  const char* environment;  // nullptr: none
  const char* standard;
  const char* help;
  void (*set)(CommandLine&, std::string);
};

constexpr std::array kOptions = {
    Option{"--server", "ADDR:PORT", "FRAMEWORKS_SERVER", "",
           "where Quartermaster is reached, e.g. 10.99.0.1:19002",
           [](CommandLine& line, std::string text) { line.agent.server = std::move(text); }},
    Option{"--node", "NAME", "FRAMEWORKS_NODE", "", "this node's name in the fleet, e.g. eu-edge-1",
           [](CommandLine& line, std::string text) { line.agent.node = std::move(text); }},
    Option{"--state", "DIR", "FRAMEWORKS_STATE", "/var/lib/frameworks-agent",
           "keys, certificate and last good plan",
           [](CommandLine& line, std::string text) { line.agent.state = std::move(text); }},
    Option{"--token-file", "FILE", "FRAMEWORKS_TOKEN_FILE", "/etc/frameworks/join-token",
           "the join token; deleted after a good join",
           [](CommandLine& line, std::string text) { line.agent.token_file = std::move(text); }},
    Option{"--ca-file", "FILE", "FRAMEWORKS_CA_FILE", "/etc/frameworks/ca.pem",
           "who may sign the server's certificate",
           [](CommandLine& line, std::string text) { line.agent.ca_file = std::move(text); }},
    Option{"--media-listen", "ADDR:PORT", "FRAMEWORKS_MEDIA_LISTEN", "127.0.0.1:18010",
           "where media servers ask who may publish; \"off\": nowhere",
           [](CommandLine& line, std::string text) {
             line.agent.media_listen = text == "off" ? "" : std::move(text);
           }},
    Option{"--media-statistics", "URL", "FRAMEWORKS_MEDIA_STATISTICS",
           "http://127.0.0.1:18011/statistics",
           "nginx-rtmp's rtmp_stat, for limits in Mbit/s; \"off\": RTMP is not counted",
           [](CommandLine& line, std::string text) {
             line.agent.media_statistics = text == "off" ? "" : std::move(text);
           }},
    Option{"--media-log", "ADDR:PORT", "FRAMEWORKS_MEDIA_LOG", "127.0.0.1:18012",
           "UDP, where nginx logs what it sent, for limits in Mbit/s; \"off\": HLS is not counted",
           [](CommandLine& line, std::string text) {
             line.agent.media_log = text == "off" ? "" : std::move(text);
           }},
    Option{"--tokens", "DIR", nullptr, "",
           "simulate: a node for every DIR/<node>.token, also for those that come later",
           [](CommandLine& line, std::string text) { line.tokens = std::move(text); }},
    Option{"--looks", "yes|no", nullptr, "no",
           "simulate: look for silent peers from here, where this host is in the nodes' network",
           [](CommandLine& line, std::string text) { line.agent.looks_for_peers = text == "yes"; }},
};

constexpr std::array kCommands = {
    std::pair{"run", "join if need be, then keep this host as its plan says (the default)"},
    std::pair{"join", "trade the token for a certificate, and end"},
    std::pair{"status", "what this node is, has applied and since when; --json for programs"},
    std::pair{"simulate", "many nodes in one process, on fake drivers: nothing of them is real"},
    std::pair{"version", "print the version"},
};

const Option* find_option(const std::string& name) {
  const auto found = std::find_if(kOptions.begin(), kOptions.end(),
                                  [&](const Option& o) { return name == o.name; });
  return found == kOptions.end() ? nullptr : &*found;
}

Error invalid(std::string message) {
  return {Code::kInvalidArgument, message + "; see frameworks-agent --help"};
}

Status require(const CommandLine& line) {
  const bool talks = line.command == "run" || line.command == "join" || line.command == "simulate";
  if (talks && line.agent.server.rfind(':') == std::string::npos)
    return invalid(fmt::format("--server \"{}\": give address:port (or FRAMEWORKS_SERVER)",
                               line.agent.server));
  if ((line.command == "run" || line.command == "join") && line.agent.node.empty())
    return invalid("--node: give this node's name (or FRAMEWORKS_NODE)");
  if (line.command == "simulate" && line.tokens.empty())
    return invalid("--tokens: give the folder of tokens");
  return {};
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments,
                                       const Environment& environment) {
  CommandLine line;
  for (const Option& option : kOptions) {
    const char* value = option.environment == nullptr ? nullptr : environment(option.environment);
    option.set(line, value != nullptr && *value != '\0' ? value : option.standard);
  }
  bool has_command = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const size_t equals = argument.find('=');
    if (argument == "--help" || argument == "-h") {
      line.command = "help";
      return line;
    }
    if (argument == "--json") {
      line.json = true;
    } else if (const Option* option = find_option(argument.substr(0, equals)); option != nullptr) {
      if (equals != std::string::npos)
        option->set(line, argument.substr(equals + 1));
      else if (i + 1 < arguments.size())
        option->set(line, arguments[++i]);
      else
        return invalid(fmt::format("{}: no {} follows", argument, option->value));
    } else if (argument.starts_with("-")) {
      return invalid(fmt::format("{}: no such option", argument));
    } else if (std::exchange(has_command, true)) {
      return invalid(fmt::format("\"{}\": one command is enough", argument));
    } else if (std::none_of(kCommands.begin(), kCommands.end(),
                            [&](const auto& command) { return argument == command.first; })) {
      return invalid(fmt::format("\"{}\": no such command", argument));
    } else {
      line.command = argument;
    }
  }
  RETURN_IF_ERROR(require(line));
  return line;
}

std::string help_text() {
  std::string out =
      "frameworks-agent keeps this host as the fleet's plan says: mesh, packet filter, names,\n"
      "health checks, and who may publish.\n\nUsage: frameworks-agent [COMMAND] "
      "[OPTION...]\n\nCommands:\n";
  for (const auto& [name, help] : kCommands) out += fmt::format("  {:<26} {}\n", name, help);
  out += "\nOptions:\n";
  for (const Option& option : kOptions) {
    out +=
        fmt::format("  {:<26} {}\n", fmt::format("{} {}", option.name, option.value), option.help);
    if (option.environment != nullptr)
      out += fmt::format("  {:<26}   or ${}", "", option.environment);
    if (option.environment != nullptr && *option.standard != '\0')
      out += fmt::format("; default {}", option.standard);
    if (option.environment != nullptr) out += "\n";
  }
  return out +
         "\nExamples:\n"
         "  frameworks-agent --server 10.99.0.1:19002 --node eu-edge-1\n"
         "  frameworks-agent status\n"
         "  frameworks-agent join --server 10.99.0.1:19002 --node eu-edge-1 --token-file token "
         "--ca-file ca.pem\n"
         "  frameworks-agent simulate --tokens tokens --server 127.0.0.1:19002 --ca-file ca.pem "
         "--state /tmp/nodes\n";
}

}  // namespace frameworks
