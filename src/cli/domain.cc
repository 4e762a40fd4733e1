#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/resources.h"
#include "cli/tenant_text.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

std::string time_text(const google::protobuf::Timestamp& time) {
  return time.seconds() == 0 ? "" : rfc3339(WallTime(std::chrono::seconds(time.seconds())));
}

}  // namespace

Command domain_verify_command() {
  return {
      .name = "domain verify",
      .summary = "Look for a custom domain's DNS record now",
      .help =
          "The server does so by itself, at growing intervals. Exit code 1 as long as the domain "
          "is "
          "not verified.",
      .examples = {{"domain verify live.acme.example --tenant acme", "after the record was made"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string domain, tenant;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("DOMAIN", options->domain, "The domain")->required();
        app.add_option("--tenant", options->tenant, "Whose it is to be")->required();
        app.add_flag("--dry-run", options->dry_run, "Look for it, and write nothing");
        return [options](Context& context) -> Result<int> {
          pb::VerifyDomainRequest request;
          request.set_tenant(options->tenant);
          request.set_domain(options->domain);
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::VerifyDomainResponse response,
                           client->call(*client->stub<pb::Tenants>(),
                                        &pb::Tenants::StubInterface::VerifyDomain, request));
          const pb::DomainStatus& domain = response.domain();
          const bool verified = domain.state() == pb::DOMAIN_STATE_VERIFIED;
          if (context.json) {
            context.terminal.out << pretty_json(to_json(response)) << "\n";
          } else {
            const std::string state = word(domain.state());
            context.terminal.out << fmt::format("{} is {}{}{}\n", domain.domain(), state,
                                                domain.message().empty() ? "" : ": ",
                                                domain.message());
            if (!verified)
              context.terminal.out << fmt::format("  wanted: _frameworks.{} TXT \"{}\"\n",
                                                  domain.domain(), domain.challenge());
          }
          return verified ? kExitOk : kExitFailure;
        };
      },
  };
}

Command domain_list_command() {
  return {
      .name = "domain list",
      .summary = "List custom domains and whose they are",
      .help = "",
      .examples = {{"domain list", "of all tenants"},
                   {"domain list --tenant acme", "with the records that are wanted"}},
      .setup = [](CLI::App& app) -> Run {
        auto tenant = std::make_shared<std::string>();
        app.add_option("--tenant", *tenant, "Only this tenant's");
        return [tenant](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          std::vector<Resource> tenants;
          if (tenant->empty()) {
            ASSIGN_OR_RETURN(Listing listing, list_resources(*client, kind_of<pb::Tenant>(), {}));
            tenants = std::move(listing.resources);
          } else {
            ASSIGN_OR_RETURN(const Resource found,
                             get_resource(*client, kind_of<pb::Tenant>(), {}, *tenant));
            tenants.push_back(found);
          }
          Table table({"DOMAIN", "TENANT", "STATE", "CHECKED", "MESSAGE", "TXT RECORD"});
          boost::json::array all;
          for (const Resource& each : tenants)
            for (const auto& domain : each.as<pb::Tenant>().status().domains()) {
              auto json = to_json(domain);
              json.as_object()["tenant"] = each.name();
              all.push_back(std::move(json));
              const bool verified = domain.state() == pb::DOMAIN_STATE_VERIFIED;
              table.add({domain.domain(), each.name(), word(domain.state()),
                         time_text(domain.check_time()), domain.message(),
                         verified ? "" : domain.challenge()});
            }
          if (context.json)
            context.terminal.out << pretty_json(all) << "\n";
          else if (table.empty())
            context.terminal.err << "there are no custom domains\n";
          else
            table.print(context.terminal);
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
