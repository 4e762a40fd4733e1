#include <fmt/format.h>

#include "cli/commands.h"

namespace frameworks::cli {
namespace {

enum class Power { kOn, kOff };

Run setup_power(CLI::App& app, Power power) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name, "The node")->required();
  return [name, power](Context& context) -> Result<int> {
    ASSIGN_OR_RETURN(const auto client, context.connect());
    pb::SetPowerRequest request;
    request.set_node(*name);
    request.set_on(power == Power::kOn);
    RETURN_IF_ERROR(
        client->call(client->machines(), &pb::Machines::StubInterface::SetPower, request));
    if (context.json)
      context.terminal.out << "{}\n";
    else
      context.terminal.out << fmt::format("{} is switched {}\n", *name,
                                          power == Power::kOn ? "on" : "off");
    return kExitOk;
  };
}

}  // namespace

Command node_power_on_command() {
  return {.name = "node power-on",
          .summary = "Switch a node's machine on",
          .help = "The node comes back by itself; `frameworks watch nodes` shows it.",
          .examples = {{"node power-on us-edge-1", "as by its button"}},
          .setup = [](CLI::App& app) { return setup_power(app, Power::kOn); }};
}

Command node_power_off_command() {
  return {.name = "node power-off",
          .summary = "Switch a node's machine off at once",
          .help = "As by pulling the plug: nothing on it is stopped in order.",
          .examples = {{"node power-off us-edge-1", "no questions asked"}},
          .setup = [](CLI::App& app) { return setup_power(app, Power::kOff); }};
}

}  // namespace frameworks::cli
