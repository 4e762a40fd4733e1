#include "cli/commands.h"
#include "cli/tenant_options.h"
#include "cli/tenant_text.h"

namespace frameworks::cli {

Command grant_request_command() {
  return {
      .name = "grant request",
      .summary = "Ask for a cluster on behalf of a tenant",
      .help =
          "Void until an operator, or who runs the cluster, approves it. Asking again changes what "
          "is asked for.",
      .examples = {{"grant request --tenant acme --cluster eu-edge", "to publish and play there"},
                   {"grant request --tenant acme --cluster eu-edge --level operate",
                    "to drain and configure it as well"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string tenant, cluster, level, reason;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("--tenant", options->tenant, "Who asks")->required();
        app.add_option("--cluster", options->cluster, "For what")->required();
        add_level_option(app, options->level);
        app.add_option("--reason", options->reason, "Why, for who decides");
        app.add_flag("--dry-run", options->dry_run, "Only say whether it could be asked for");
        return [options](Context& context) -> Result<int> {
          pb::RequestGrantRequest request;
          request.set_tenant(options->tenant);
          request.set_cluster(options->cluster);
          request.set_level(read_level(options->level));
          request.set_reason(options->reason);
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::GrantResponse response,
                           client->call(*client->stub<pb::Grants>(),
                                        &pb::Grants::StubInterface::Request, request));
          return show_grant(context, response, "requested", options->dry_run);
        };
      },
  };
}

}  // namespace frameworks::cli
