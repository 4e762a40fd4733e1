#include "cli/commands.h"
#include "cli/fleet_input.h"
#include "cli/written.h"

namespace frameworks::cli {

Command apply_command() {
  return {
      .name = "apply",
      .summary = "Make the fleet as the files say",
      .help =
          "Writes all that the files say at one revision, or nothing, and streams the progress of "
          "the\n"
          "operation that brings the world there until it ended. Safe to repeat.",
      .examples = {{"apply -f fleets/demo", "write and wait until it is so"},
                   {"apply -f fleets/demo --detach", "write and return at once"},
                   {"apply -f fleets/demo --prune", "also delete what the files no longer list"},
                   {"get tenant acme -o yaml | frameworks apply -f -", "from standard input"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::vector<std::string> paths;
          bool prune = false;
          bool detach = false;
          bool dry_run = false;
          int64_t if_revision = 0;
        };
        auto options = std::make_shared<Options>();
        add_file_option(app, options->paths);
        app.add_flag("--prune", options->prune,
                     "Also delete what an earlier apply made and the files no longer list");
        app.add_flag("--detach", options->detach, "Do not wait for the operation");
        app.add_flag("--dry-run", options->dry_run, "Only show the plan");
        app.add_option("--if-revision", options->if_revision,
                       "Refuse unless the fleet is still at this revision");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const std::vector<Document> documents, read_input(options->paths));
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::ApplyRequest request = apply_request(documents);
          request.set_prune(options->prune);
          request.set_dry_run(options->dry_run);
          request.set_if_revision(options->if_revision);
          const auto response =
              client->call(client->fleet(), &pb::Fleet::StubInterface::Apply, request);
          if (!response) return with_lines(response.error(), documents);
          return show_written(context, *client, *response, options->dry_run,
                              options->detach ? Follow::kNot : Follow::kToTheEnd);
        };
      },
  };
}

}  // namespace frameworks::cli
