#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "frameworks/v1/orchestration_api.grpc.pb.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

std::string ports_of(const pb::DiscoveredInstance& instance) {
  std::string out;
  for (const pb::Port& port : instance.ports())
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", port.name(), port.port());
  return out;
}

std::string distance_of(const pb::DiscoveredInstance& instance) {
  return instance.distance_km() < 0 ? "" : fmt::format("{:.0f} km", instance.distance_km());
}

void show(const Context& context, const pb::DiscoverResponse& response) {
  if (context.json) {
    context.terminal.out << pretty_json(to_json(response)) << "\n";
    return;
  }
  Table table({"NODE", "CLUSTER", "REGION", "DISTANCE", "ADDRESS", "MESH", "PORTS", "STATE"});
  for (const pb::DiscoveredInstance& each : response.instances())
    table.add({each.node(), each.cluster(), each.region(), distance_of(each), each.address(),
               each.mesh_address(), ports_of(each), word(each.state())});
  if (table.empty())
    context.terminal.out << "no instance works\n";
  else
    table.print(context.terminal);
}

// Each answer as it comes, until interrupted.
Result<int> follow(Context& context, Client& client, const pb::DiscoverRequest& request) {
  context.on_interrupt();
  const auto stub = client.stub<pb::Orchestration>();
  grpc::ClientContext call;
  client.authorize(call);
  const std::stop_callback cancel(context.stop, [&call] { call.TryCancel(); });
  const auto reader = stub->WatchInstances(&call, request);
  pb::DiscoverResponse response;
  while (reader->Read(&response)) {
    if (!context.json)
      context.terminal.out << fmt::format("revision {}\n", response.revision());
    show(context, response);
    context.terminal.out << std::flush;
  }
  const grpc::Status status = reader->Finish();
  if (context.stop.stop_requested()) return kExitOk;
  if (!status.ok()) return from_grpc(status, client.server());
  return kExitOk;
}

}  // namespace

Command discover_command() {
  return {
      .name = "discover",
      .summary = "Show where a service is reached",
      .help = "The instances that work, on nodes that are not drained; nearest first with --near.",
      .examples = {{"discover media", "every instance that works"},
                   {"discover redis --near us-east --limit 1", "the nearest one"},
                   {"discover media --watch --json", "for programs, whenever it changes"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string service, cluster, near;
          int limit = 0;
          bool watch = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("SERVICE", options->service, "The service")->required();
        app.add_option("--cluster", options->cluster, "Only of this cluster");
        app.add_option("--near", options->near, "Nearest first as seen from this region");
        app.add_option("--limit", options->limit, "At most so many");
        app.add_flag("--watch", options->watch, "Again whenever it changes, until interrupted");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::DiscoverRequest request;
          request.set_service(options->service);
          request.set_cluster(options->cluster);
          request.set_near_region(options->near);
          request.set_limit(options->limit);
          if (options->watch) return follow(context, *client, request);
          const auto stub = client->stub<pb::Orchestration>();
          ASSIGN_OR_RETURN(
              const pb::DiscoverResponse response,
              client->call(*stub, &pb::Orchestration::StubInterface::Discover, request));
          show(context, response);
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
