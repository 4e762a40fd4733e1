#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/resources.h"
#include "frameworks/v1/operation.pb.h"
#include "model/json.h"

namespace frameworks::cli {

Command operation_list_command() {
  return {
      .name = "operation list",
      .summary = "List operations, the newest last",
      .help = {},
      .examples = {{"operation list", "what runs and what ran"}},
      .setup = [](CLI::App&) -> Run {
        return [](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          const Kind& kind = kind_of<pb::Operation>();
          ASSIGN_OR_RETURN(Listing listing, list_resources(*client, kind, {}));
          std::stable_sort(listing.resources.begin(), listing.resources.end(),
                           [](const Resource& a, const Resource& b) {
                             return a.metadata().create_time().seconds() <
                                    b.metadata().create_time().seconds();
                           });
          if (context.json) {
            boost::json::array all;
            for (const Resource& each : listing.resources) all.push_back(to_json(each.message()));
            context.terminal.out << pretty_json(all) << "\n";
            return kExitOk;
          }
          make_table(kind, listing.resources, context.clock.wall()).print(context.terminal);
          return kExitOk;
        };
      },
  };
}

Command operation_watch_command() {
  return {
      .name = "operation watch",
      .summary = "Follow an operation to its end",
      .help =
          "Tells what happened so far, then what happens. Exits with 4 when the operation failed.",
      .examples = {{"operation watch apply-17", "as after apply"}},
      .setup = [](CLI::App& app) -> Run {
        auto name = std::make_shared<std::string>();
        app.add_option("NAME", *name, "The operation, as `frameworks operation list` names it")
            ->required();
        return [name](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          return follow_operation(context, *client, *name);
        };
      },
  };
}

Command operation_cancel_command() {
  return {
      .name = "operation cancel",
      .summary = "Stop an operation",
      .help = "What it did stays; the next apply goes on from there.",
      .examples = {{"operation cancel apply-17", "after the step it is at"}},
      .setup = [](CLI::App& app) -> Run {
        auto name = std::make_shared<std::string>();
        app.add_option("NAME", *name, "The operation")->required();
        return [name](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::CancelOperationRequest request;
          request.set_operation(*name);
          RETURN_IF_ERROR(
              client->call(client->operations(), &pb::Operations::StubInterface::Cancel, request));
          if (context.json)
            context.terminal.out << "{}\n";
          else
            context.terminal.out << fmt::format("operation {} was asked to stop\n", *name);
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
