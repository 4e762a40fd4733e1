#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "frameworks/v1/tenants_api.grpc.pb.h"
#include "model/json.h"
#include "model/rules.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

void print_context(const Terminal& terminal, const pb::TenantContext& tenant) {
  terminal.out << terminal.paint(Colour::kBold, "Tenant/" + tenant.tenant()) << "\n";
  const auto line = [&](std::string_view name, std::string_view value) {
    terminal.out << fmt::format("  {:<9} ", name)
                 << terminal.paint(colour_of_state(value), value.empty() ? "-" : value) << "\n";
  };
  line("state", word(tenant.state()));
  line("plan", tenant.plan());
  line("limits", limits_text(tenant.limits()));
  line("primary", tenant.primary_cluster());
  line("revision", std::to_string(tenant.revision()));
  const std::map<std::string, google::protobuf::Value> features(tenant.features().begin(),
                                                                tenant.features().end());
  std::string text;
  for (const auto& [name, value] : features)
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, json_text(to_json(value)));
  line("features", text);
  terminal.out << "\n";
  Table clusters({"CLUSTER", "TIER", "REGION", "LEVEL", "LIMITS"});
  for (const pb::EntitledCluster& each : tenant.clusters())
    clusters.add({each.cluster(), word(each.tier()), each.region(), word(each.level()),
                  limits_text(each.limits())});
  clusters.print(terminal);
  terminal.out << "\n";
  Table endpoints({"SERVICE", "PORT", "CLUSTER", "REGION", "NODE", "STATE", "URL"});
  for (const pb::Endpoint& each : tenant.endpoints())
    endpoints.add({each.service(), each.port(), each.cluster(), each.region(), each.node(),
                   word(each.state()), each.url()});
  endpoints.print(terminal);
}

}  // namespace

Command tenant_context_command() {
  return {
      .name = "tenant context",
      .summary = "Show what a tenant's programs are told",
      .help =
          "Plan, features, limits, the clusters that the tenant may use and their healthy "
          "endpoints.",
      .examples = {{"tenant context acme", "for people"},
                   {"tenant context acme --json", "as programs get it"}},
      .setup = [](CLI::App& app) -> Run {
        auto name = std::make_shared<std::string>();
        app.add_option("NAME", *name, "The tenant")->required();
        return [name](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::GetTenantContextRequest request;
          request.set_tenant(*name);
          ASSIGN_OR_RETURN(
              const pb::TenantContext tenant,
              client->call(*client->stub<pb::Tenants>(), &pb::Tenants::StubInterface::GetContext, request));
          if (context.json)
            context.terminal.out << pretty_json(to_json(tenant)) << "\n";
          else
            print_context(context.terminal, tenant);
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
