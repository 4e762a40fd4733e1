#include "cli/commands.h"
#include "cli/written.h"
#include "frameworks/v1/orchestration_api.grpc.pb.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string node;
  bool detach = false;
  bool dry_run = false;
};

template <typename Request>
Run setup(CLI::App& app,
          grpc::Status (pb::Orchestration::StubInterface::*method)(
              grpc::ClientContext*, const Request&, pb::ApplyResponse*)) {
  auto options = std::make_shared<Options>();
  app.add_option("NAME", options->node, "The node")->required();
  app.add_flag("--dry-run", options->dry_run, "Only show the plan");
  app.add_flag("--detach", options->detach, "Do not wait for the operation");
  return [options, method](Context& context) -> Result<int> {
    ASSIGN_OR_RETURN(const auto client, context.connect());
    Request request;
    request.set_node(options->node);
    request.set_dry_run(options->dry_run);
    const auto stub = client->stub<pb::Orchestration>();
    ASSIGN_OR_RETURN(const pb::ApplyResponse response, client->call(*stub, method, request));
    return show_written(context, *client, response, options->dry_run,
                        options->detach ? Follow::kNot : Follow::kToTheEnd);
  };
}

}  // namespace

Command drain_command() {
  return {.name = "drain",
          .summary = "Send no more work to a node",
          .help =
              "Tenants are no longer sent to the node, and the instances of services with a count "
              "move to\nother nodes. What runs on every node stays, and so do the sessions that are "
              "there. `frameworks resume` sends work to it again. Safe to repeat.",
          .examples = {{"drain us-edge-1", "and wait until what moves has moved"},
                       {"drain us-edge-1 --dry-run", "what would move, and where to"}},
          .setup = [](CLI::App& app) {
            return setup<pb::DrainNodeRequest>(app, &pb::Orchestration::StubInterface::Drain);
          }};
}

Command resume_command() {
  return {.name = "resume",
          .summary = "Send work to a drained node again",
          .help = "What moved away from the node does not move back.",
          .examples = {{"resume us-edge-1", "tenants are sent to it again"}},
          .setup = [](CLI::App& app) {
            return setup<pb::ResumeNodeRequest>(app, &pb::Orchestration::StubInterface::Resume);
          }};
}

}  // namespace frameworks::cli
