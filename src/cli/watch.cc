#include "cli/changes.h"
#include "cli/commands.h"

namespace frameworks::cli {

Command watch_command() {
  return {
      .name = "watch",
      .summary = "Tell what changes, as it happens",
      .help =
          "First what there is, then every change in order and without gaps, until interrupted. "
          "With\n"
          "--json one event a line.",
      .examples = {{"watch nodes", "health of the nodes, as it changes"},
                   {"watch", "everything"},
                   {"watch tenants grants --json", "for programs"}},
      .setup = [](CLI::App& app) -> Run {
        auto kinds = std::make_shared<std::vector<std::string>>();
        app.add_option("KIND", *kinds, "Kinds of resources; none: all");
        return [kinds](Context& context) { return watch_changes(context, *kinds, {}); };
      },
  };
}

}  // namespace frameworks::cli
