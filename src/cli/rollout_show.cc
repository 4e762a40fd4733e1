#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/resources.h"
#include "cli/rollout_text.h"
#include "model/json.h"

namespace frameworks::cli {

Command rollout_status_command() {
  return {
      .name = "rollout status",
      .summary = "Show how far a rollout is",
      .help =
          "Of a service: the one that is under way, else its newest. With --watch it exits with 4 "
          "unless the rollout succeeds.",
      .examples = {{"rollout status media", "batch by batch, and what it waits for"},
                   {"rollout status media --watch", "to its end"},
                   {"rollout status media-3 --json", "for programs"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string name;
          bool watch = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->name, "The service, or the rollout")->required();
        app.add_flag("--watch", options->watch, "Tell how it goes, to its end");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::Rollout rollout, find_rollout(*client, options->name));
          if (options->watch) return follow_rollout(context, *client, rollout.metadata().name());
          if (context.json)
            context.terminal.out << pretty_json(to_json(rollout)) << "\n";
          else
            print_rollout(rollout, context.terminal, context.clock.wall());
          return kExitOk;
        };
      },
  };
}

Command rollout_list_command() {
  return {
      .name = "rollout list",
      .summary = "List rollouts, the newest last",
      .help = "Of each service the newest ten that ended are kept.",
      .examples = {{"rollout list", "of all services"}, {"rollout list media", "of one"}},
      .setup = [](CLI::App& app) -> Run {
        auto service = std::make_shared<std::string>();
        app.add_option("SERVICE", *service, "Only of this service");
        return [service](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const auto rollouts, list_rollouts(*client, *service));
          if (context.json) {
            boost::json::array all;
            for (const pb::Rollout& each : rollouts) all.push_back(to_json(each));
            context.terminal.out << pretty_json(all) << "\n";
            return kExitOk;
          }
          std::vector<Resource> resources;
          for (const pb::Rollout& each : rollouts) resources.push_back(Resource::of(each));
          make_table(kind_of<pb::Rollout>(), resources, context.clock.wall())
              .print(context.terminal);
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
