#include <fmt/format.h>

#include <iostream>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/tenant_options.h"
#include "cli/tenant_text.h"
#include "model/json.h"

namespace frameworks::cli {

Command invite_create_command() {
  return {
      .name = "invite create",
      .summary = "Make a code with which tenants get a grant by themselves",
      .help = "The code is shown this once. Deleting the invite takes it back.",
      .examples = {{"invite create --cluster eu-edge", "for one tenant, within a week"},
                   {"invite create --cluster eu-edge --uses 20 --ttl 24h", "for a workshop"},
                   {"invite create --cluster eu-edge --tenant acme", "for this tenant only"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string cluster, level, tenant;
          std::string ttl = "168h";
          std::vector<std::string> limits;
          int uses = 1;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("--cluster", options->cluster, "What it gives access to")->required();
        add_level_option(app, options->level);
        add_limit_option(app, options->limits);
        app.add_option("--tenant", options->tenant, "Only this tenant may accept it");
        app.add_option("--uses", options->uses, "How many tenants may accept it")
            ->check(CLI::Range(1, 100'000))
            ->capture_default_str();
        app.add_option("--ttl", options->ttl, "How long it is good, e.g. 24h")
            ->capture_default_str();
        app.add_flag("--dry-run", options->dry_run, "Only say whether it would be made");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const Duration ttl, parse_duration(options->ttl));
          pb::CreateInviteRequest request;
          request.set_cluster(options->cluster);
          request.set_level(read_level(options->level));
          RETURN_IF_ERROR(read_limits(options->limits, *request.mutable_limits()));
          request.set_for_tenant(options->tenant);
          request.set_max_uses(options->uses);
          request.mutable_ttl()->set_seconds(
              std::chrono::duration_cast<std::chrono::seconds>(ttl).count());
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::CreateInviteResponse response,
                           client->call(*client->stub<pb::Grants>(),
                                        &pb::Grants::StubInterface::CreateInvite, request));
          if (context.json) {
            context.terminal.out << pretty_json(to_json(response, Secrets::kShow)) << "\n";
          } else if (options->dry_run) {
            context.terminal.out << "would be made\n";
          } else {
            // The code alone on standard output, so that it can be put into a file.
            context.terminal.out << response.token() << "\n";
            context.terminal.err << fmt::format("Invite/{} is good for {}\n", response.name(),
                                                human_duration(ttl));
          }
          return kExitOk;
        };
      },
  };
}

Command invite_accept_command() {
  return {
      .name = "invite accept",
      .summary = "Turn an invite's code into a grant",
      .help =
          "The same code again gives the same grant. With - the code is read from standard input, "
          "so "
          "that\n"
          "no list of processes shows it.",
      .examples = {{"invite accept fwi_3f9ac04d21b7_5d2c --tenant acme", "by its code"},
                   {"invite accept - --tenant acme", "from standard input"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string code, tenant;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("CODE", options->code, "The code, or -")->required();
        app.add_option("--tenant", options->tenant, "Who accepts it")->required();
        app.add_flag("--dry-run", options->dry_run, "Only say whether it is good");
        return [options](Context& context) -> Result<int> {
          std::string code = options->code;
          if (code == "-") std::getline(std::cin, code);
          pb::AcceptInviteRequest request;
          request.set_tenant(options->tenant);
          request.set_code(std::string(trim(code)));
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::GrantResponse response,
                           client->call(*client->stub<pb::Grants>(),
                                        &pb::Grants::StubInterface::AcceptInvite, request));
          return show_grant(context, response, "given", options->dry_run);
        };
      },
  };
}

}  // namespace frameworks::cli
