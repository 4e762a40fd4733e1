#include "cli/commands.h"
#include "model/json.h"

namespace frameworks::cli {

Command inventory_command() {
  return {
      .name = "inventory",
      .summary = "Print Ansible's inventory of the fleet",
      .help =
          "JSON as Ansible's inventory scripts print it, with _meta. With --host the variables of "
          "one\n"
          "host.",
      .examples = {{"inventory > inventory.json", "the whole fleet"},
                   {"inventory --host core-1", "one host's variables"}},
      .setup = [](CLI::App& app) -> Run {
        auto host = std::make_shared<std::string>();
        auto list = std::make_shared<bool>(false);
        app.add_option("--host", *host, "Only this host's variables");
        app.add_flag("--list", *list, "The whole inventory; what Ansible asks scripts for");
        return [host](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::GetInventoryRequest request;
          request.set_host(*host);
          ASSIGN_OR_RETURN(
              const pb::GetInventoryResponse response,
              client->call(client->inventory(), &pb::Inventory::StubInterface::Get, request));
          context.terminal.out << pretty_json(to_json(response.inventory())) << "\n";
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
