#include "cli/commands.h"
#include "cli/resources.h"
#include "cli/written.h"

namespace frameworks::cli {

Command delete_command() {
  return {
      .name = "delete",
      .summary = "Delete a resource",
      .help =
          "Refused while other resources refer to it; the message names them. Waits until the "
          "operation\n"
          "that follows has ended.",
      .examples = {{"delete firewallrule office", "by kind and name"},
                   {"delete grant us-edge --tenant acme", "of a tenant"},
                   {"delete machinepool us-edge --dry-run", "what it would do"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string kind;
          std::string name;
          std::string tenant;
          bool dry_run = false;
          bool detach = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("KIND", options->kind, "Kind of resource")->required();
        app.add_option("NAME", options->name, "Its name")->required();
        app.add_option("--tenant", options->tenant, "The tenant that owns it");
        app.add_flag("--dry-run", options->dry_run, "Only show the plan");
        app.add_flag("--detach", options->detach, "Do not wait for the operation");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const Kind* const kind, kind_from_word(options->kind));
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::DeleteRequest request;
          request.set_kind(kind->name);
          request.set_name(options->name);
          request.set_tenant(options->tenant);
          request.set_dry_run(options->dry_run);
          if (kind->tenant_owned && options->tenant.empty()) {
            ASSIGN_OR_RETURN(const Resource found, get_resource(*client, *kind, {}, options->name));
            request.set_tenant(found.metadata().tenant());
          }
          ASSIGN_OR_RETURN(
              const pb::ApplyResponse response,
              client->call(client->fleet(), &pb::Fleet::StubInterface::Delete, request));
          return show_written(context, *client, response, options->dry_run,
                              options->detach ? Follow::kNot : Follow::kToTheEnd);
        };
      },
  };
}

}  // namespace frameworks::cli
