#include "cli/commands.h"
#include "cli/resources.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {

Command grant_list_command() {
  return {
      .name = "grant list",
      .summary = "List who may use which cluster, and who asked for one",
      .help = "",
      .examples = {{"grant list --state requested", "what waits for a decision"},
                   {"grant list --cluster eu-edge", "who may use it"},
                   {"grant list --tenant acme --json", "one tenant's, as JSON"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string tenant, cluster, state;
        };
        auto options = std::make_shared<Options>();
        app.add_option("--tenant", options->tenant, "Only this tenant's");
        app.add_option("--cluster", options->cluster, "Only on this cluster");
        app.add_option("--state", options->state, "active, requested, rejected or expired")
            ->check(CLI::IsMember({"active", "requested", "rejected", "expired"}));
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          const Kind& kind = kind_of<pb::Grant>();
          ASSIGN_OR_RETURN(Listing listing, list_resources(*client, kind, options->tenant));
          std::erase_if(listing.resources, [&](const Resource& resource) {
            const auto& grant = resource.as<pb::Grant>();
            return (!options->cluster.empty() && grant.spec().cluster() != options->cluster) ||
                   (!options->state.empty() && word(grant.status().state()) != options->state);
          });
          if (context.json) {
            boost::json::array all;
            for (const Resource& each : listing.resources) all.push_back(to_json(each.message()));
            context.terminal.out << pretty_json(all) << "\n";
          } else if (listing.resources.empty()) {
            context.terminal.err << "there are no such grants\n";
          } else {
            make_table(kind, listing.resources, context.clock.wall()).print(context.terminal);
          }
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
