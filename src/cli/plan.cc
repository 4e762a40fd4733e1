#include <google/protobuf/arena.h>

#include "cli/commands.h"
#include "cli/fleet_input.h"
#include "cli/plan_text.h"
#include "model/json.h"

namespace frameworks::cli {

Command plan_command() {
  return {
      .name = "plan",
      .summary = "Show what applying fleet files would change",
      .help =
          "Prints, layer by layer, what would happen to which object, and whom it touches. "
          "Changes\n"
          "nothing.",
      .examples = {{"plan -f fleets/demo", "what would change"},
                   {"plan -f fleets/demo --verbose", "with every field of what would be made"},
                   {"plan -f fleets/demo --prune", "also what would be deleted"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::vector<std::string> paths;
          bool prune = false;
          bool verbose = false;
        };
        auto options = std::make_shared<Options>();
        add_file_option(app, options->paths);
        app.add_flag("--prune", options->prune,
                     "Also delete what an earlier apply made and the files no longer list");
        app.add_flag("-v,--verbose", options->verbose,
                     "List the fields of what is created or deleted, too");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const std::vector<Document> documents, read_input(options->paths));
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::ApplyRequest request = apply_request(documents);
          request.set_dry_run(true);
          request.set_prune(options->prune);
          // A large fleet's plan is very many messages.
          google::protobuf::ArenaOptions room;
          room.max_block_size = 1 << 20;
          google::protobuf::Arena arena(room);
          auto& response = *google::protobuf::Arena::CreateMessage<pb::ApplyResponse>(&arena);
          const Status asked =
              client->ask(client->fleet(), &pb::Fleet::StubInterface::Apply, request, response);
          if (!asked) return with_lines(asked.error(), documents);
          if (context.json)
            context.terminal.out << pretty_json(to_json(response.plan())) << "\n";
          else
            print_plan(response.plan(), context.terminal,
                       options->verbose ? Detail::kEverything : Detail::kChanges);
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
