#include "cli/commands.h"
#include "cli/tenant_options.h"
#include "cli/tenant_text.h"

namespace frameworks::cli {

Command tenant_create_command() {
  return {
      .name = "tenant create",
      .summary = "Make a tenant",
      .help =
          "With --request-id the same command again answers the same tenant. What it prints for a "
          "domain is\n"
          "put into the DNS by the domain's owner; the server looks for it by itself.",
      .examples = {{"tenant create acme --plan pro", "with the defaults of everything else"},
                   {"tenant create acme --limit streams=50 --feature dvr=true", "with limits"},
                   {"tenant create acme --domain live.acme.example", "with a domain of its own"},
                   {"tenant create acme --dry-run", "whether it could be made"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string name, display_name, plan, subdomain, primary, uid, request_id;
          std::vector<std::string> domains, limits, features;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->name, "Its name: a DNS label")->required();
        app.add_option("--display-name", options->display_name, "For people");
        app.add_option("--plan", options->plan, "The commercial plan [default]");
        app.add_option("--subdomain", options->subdomain, "Below the platform's zones [its name]");
        app.add_option("--primary-cluster", options->primary, "Where it is served first");
        app.add_option("--domain", options->domains, "A domain of its own; may be repeated")
            ->allow_extra_args(false);
        add_limit_option(app, options->limits);
        add_feature_option(app, options->features);
        app.add_option("--uid", options->uid, "A UUID of your own for it");
        app.add_option("--request-id", options->request_id, "To be able to ask again");
        app.add_flag("--dry-run", options->dry_run, "Only say whether it would be made");
        return [options](Context& context) -> Result<int> {
          pb::CreateTenantRequest request;
          pb::Tenant& tenant = *request.mutable_tenant();
          tenant.mutable_metadata()->set_name(options->name);
          tenant.mutable_metadata()->set_uid(options->uid);
          pb::TenantSpec& spec = *tenant.mutable_spec();
          spec.set_display_name(options->display_name);
          spec.set_plan(options->plan);
          spec.set_subdomain(options->subdomain);
          spec.set_primary_cluster(options->primary);
          for (const std::string& domain : options->domains) spec.add_domains(domain);
          if (!options->limits.empty()) {
            RETURN_IF_ERROR(read_limits(options->limits, *spec.mutable_limits()));
          }
          RETURN_IF_ERROR(read_features(options->features, *spec.mutable_features()));
          request.set_request_id(options->request_id);
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::TenantResponse response,
                           client->call(*client->stub<pb::Tenants>(),
                                        &pb::Tenants::StubInterface::Create, request));
          return show_tenant(context, response, "created", options->dry_run);
        };
      },
  };
}

}  // namespace frameworks::cli
