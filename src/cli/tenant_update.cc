#include "cli/commands.h"
#include "cli/resources.h"
#include "cli/tenant_options.h"
#include "cli/tenant_text.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string name;
  std::optional<std::string> display_name, plan, subdomain, primary;
  std::vector<std::string> domains, no_domains, limits, features;
  bool dry_run = false;
};

// The tenant as it was read, with what the options say, and the paths of what they touch.
Status edit(const Options& options, pb::UpdateTenantRequest& request) {
  pb::TenantSpec& spec = *request.mutable_tenant()->mutable_spec();
  const auto set = [&](const std::optional<std::string>& value, const char* path, auto assign) {
    if (!value) return;
    assign(*value);
    request.add_fields(path);
  };
  set(options.display_name, "spec.display_name", [&](auto& v) { spec.set_display_name(v); });
  set(options.plan, "spec.plan", [&](auto& v) { spec.set_plan(v); });
  set(options.subdomain, "spec.subdomain", [&](auto& v) { spec.set_subdomain(v); });
  set(options.primary, "spec.primary_cluster", [&](auto& v) { spec.set_primary_cluster(v); });
  auto& domains = *spec.mutable_domains();
  for (const std::string& domain : options.no_domains)
    domains.erase(std::remove(domains.begin(), domains.end(), domain), domains.end());
  for (const std::string& domain : options.domains)
    if (std::find(domains.begin(), domains.end(), domain) == domains.end())
      spec.add_domains(domain);
  if (!options.domains.empty() || !options.no_domains.empty()) request.add_fields("spec.domains");
  RETURN_IF_ERROR(read_limits(options.limits, *spec.mutable_limits()));
  if (!options.limits.empty()) request.add_fields("spec.limits");
  RETURN_IF_ERROR(read_features(options.features, *spec.mutable_features()));
  if (!options.features.empty()) request.add_fields("spec.features");
  if (request.fields().empty())
    return Error(Code::kInvalidArgument, "nothing to change was given: see --help");
  return {};
}

}  // namespace

Command tenant_update_command() {
  return {
      .name = "tenant update",
      .summary = "Change a tenant",
      .help =
          "Changes what is given and leaves the rest. Refused when somebody else changes the "
          "tenant "
          "at the\n"
          "same time: run it again.",
      .examples = {{"tenant update acme --plan pro --limit nodes=8", "plan and one limit"},
                   {"tenant update acme --feature dvr=true --feature beta=", "one more, one less"},
                   {"tenant update acme --domain tv.acme.example", "one more domain"},
                   {"tenant update acme --no-domain tv.acme.example", "and none again"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->name, "The tenant")->required();
        app.add_option("--display-name", options->display_name, "For people");
        app.add_option("--plan", options->plan, "The commercial plan");
        app.add_option("--subdomain", options->subdomain, "Below the platform's zones");
        app.add_option("--primary-cluster", options->primary, "Where it is served first");
        app.add_option("--domain", options->domains, "One more domain; may be repeated")
            ->allow_extra_args(false);
        app.add_option("--no-domain", options->no_domains, "One domain less; may be repeated")
            ->allow_extra_args(false);
        add_limit_option(app, options->limits);
        add_feature_option(app, options->features);
        app.add_flag("--dry-run", options->dry_run, "Only say whether it would be changed");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const Resource stored,
                           get_resource(*client, kind_of<pb::Tenant>(), {}, options->name));
          pb::UpdateTenantRequest request;
          *request.mutable_tenant() = stored.as<pb::Tenant>();
          RETURN_IF_ERROR(edit(*options, request));
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const pb::TenantResponse response,
                           client->call(*client->stub<pb::Tenants>(),
                                        &pb::Tenants::StubInterface::Update, request));
          return show_tenant(context, response, "changed", options->dry_run);
        };
      },
  };
}

}  // namespace frameworks::cli
