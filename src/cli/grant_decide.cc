#include "cli/commands.h"
#include "cli/tenant_options.h"
#include "cli/tenant_text.h"

namespace frameworks::cli {

Command grant_approve_command() {
  return {
      .name = "grant approve",
      .summary = "Let a tenant use the cluster that it asked for",
      .help = "",
      .examples = {{"grant approve eu-edge --tenant acme", "for ever"},
                   {"grant approve eu-edge --tenant acme --expires 48h", "for two days"},
                   {"grant approve eu-edge --tenant acme --limit streams=5", "with limits here"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string name, tenant, expires;
          std::vector<std::string> limits;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->name, "The grant")->required();
        app.add_option("--tenant", options->tenant, "Whose it is")->required();
        app.add_option("--expires", options->expires,
                       "When it ends: 48h from now, or a time as 2027-01-31T12:00:00Z");
        add_limit_option(app, options->limits);
        app.add_flag("--dry-run", options->dry_run, "Only say whether it would be approved");
        return [options](Context& context) -> Result<int> {
          pb::ApproveGrantRequest request;
          request.set_tenant(options->tenant);
          request.set_grant(options->name);
          request.set_dry_run(options->dry_run);
          if (!options->expires.empty()) {
            ASSIGN_OR_RETURN(*request.mutable_expire_time(),
                             read_time(options->expires, context.clock.wall()));
          }
          if (!options->limits.empty()) {
            RETURN_IF_ERROR(read_limits(options->limits, *request.mutable_limits()));
          }
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::GrantResponse response,
                           client->call(*client->stub<pb::Grants>(),
                                        &pb::Grants::StubInterface::Approve, request));
          return show_grant(context, response, "approved", options->dry_run);
        };
      },
  };
}

Command grant_reject_command() {
  return {
      .name = "grant reject",
      .summary = "Refuse a tenant the cluster that it asked for, or take it back",
      .help = "",
      .examples = {{"grant reject eu-edge --tenant acme --reason full", "the tenant sees why"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string name, tenant, reason;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->name, "The grant")->required();
        app.add_option("--tenant", options->tenant, "Whose it is")->required();
        app.add_option("--reason", options->reason, "Why, for the tenant");
        app.add_flag("--dry-run", options->dry_run, "Only say whether it would be rejected");
        return [options](Context& context) -> Result<int> {
          pb::RejectGrantRequest request;
          request.set_tenant(options->tenant);
          request.set_grant(options->name);
          request.set_reason(options->reason);
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::GrantResponse response,
                           client->call(*client->stub<pb::Grants>(),
                                        &pb::Grants::StubInterface::Reject, request));
          return show_grant(context, response, "rejected", options->dry_run);
        };
      },
  };
}

}  // namespace frameworks::cli
