#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "frameworks/v1/tenants_api.grpc.pb.h"
#include "model/json.h"
#include "model/rules.h"
#include "model/words.h"

namespace frameworks::cli {

Command tenant_clusters_command() {
  return {
      .name = "tenant clusters",
      .summary = "List the clusters that a tenant may use",
      .help = "Those of grants that hold now. `frameworks grant list` shows the others too.",
      .examples = {{"tenant clusters acme", "with level and limits"},
                   {"tenant clusters acme --json", "as an array"}},
      .setup = [](CLI::App& app) -> Run {
        auto name = std::make_shared<std::string>();
        app.add_option("NAME", *name, "The tenant")->required();
        return [name](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::GetTenantContextRequest request;
          request.set_tenant(*name);
          ASSIGN_OR_RETURN(const pb::TenantContext tenant,
                           client->call(*client->stub<pb::Tenants>(),
                                        &pb::Tenants::StubInterface::GetContext, request));
          if (context.json) {
            boost::json::array all;
            for (const auto& each : tenant.clusters()) all.push_back(to_json(each));
            context.terminal.out << pretty_json(all) << "\n";
            return kExitOk;
          }
          Table table({"CLUSTER", "TIER", "REGION", "LEVEL", "PRIMARY", "LIMITS"});
          for (const pb::EntitledCluster& each : tenant.clusters())
            table.add({each.cluster(), word(each.tier()), each.region(), word(each.level()),
                       each.cluster() == tenant.primary_cluster() ? "yes" : "no",
                       limits_text(each.limits())});
          if (table.empty())
            context.terminal.err << fmt::format("tenant {} may use no cluster\n", *name);
          else
            table.print(context.terminal);
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
