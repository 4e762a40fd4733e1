#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/follow_resource.h"
#include "cli/written.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/orchestration_api.grpc.pb.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string node;
  std::string deadline;
  bool maintenance = false;
  bool no_wait = false;
  bool dry_run = false;
};

std::string drain_text(const Resource& resource) {
  const pb::DrainStatus& drain = resource.as<pb::Node>().status().drain();
  if (drain.state() == pb::DRAIN_STATE_UNSPECIFIED) return {};
  return fmt::format("{}: {}{}{}", resource.name(), word(drain.state()),
                     drain.message().empty() ? "" : ": ", drain.message());
}

// Until it is quiet, or the deadline has passed with something left.
std::optional<int> drain_end(const Resource& resource) {
  switch (resource.as<pb::Node>().status().drain().state()) {
    case pb::DRAIN_STATE_DRAINED:
      return kExitOk;
    case pb::DRAIN_STATE_EXPIRED:
      return kExitOperationFailed;
    default:
      return std::nullopt;
  }
}

Result<int> drain(Context& context, const Options& options) {
  pb::DrainNodeRequest request;
  request.set_node(options.node);
  request.set_dry_run(options.dry_run);
  request.set_maintenance(options.maintenance);
  if (!options.deadline.empty()) {
    ASSIGN_OR_RETURN(const Duration deadline, parse_duration(options.deadline));
    request.mutable_deadline()->set_seconds(deadline / std::chrono::seconds(1));
    request.mutable_deadline()->set_nanos(
        static_cast<int32_t>((deadline % std::chrono::seconds(1)).count()));
  }
  ASSIGN_OR_RETURN(const auto client, context.connect());
  const auto stub = client->stub<pb::Orchestration>();
  ASSIGN_OR_RETURN(const pb::ApplyResponse response,
                   client->call(*stub, &pb::Orchestration::StubInterface::Drain, request));
  ASSIGN_OR_RETURN(const int code,
                   show_written(context, *client, response, options.dry_run,
                                options.no_wait ? Follow::kNot : Follow::kToTheEnd));
  if (code != kExitOk || options.dry_run || options.no_wait) return code;
  return follow_resource(context, *client, kind_of<pb::Node>(), options.node,
                         {drain_text, drain_end});
}

Run setup_drain(CLI::App& app, bool maintenance) {
  auto options = std::make_shared<Options>();
  options->maintenance = maintenance;
  app.add_option("NAME", options->node, "The node")->required();
  app.add_option(
      "--deadline", options->deadline,
      "Give up sessions that are left after so long, e.g. 30m; they are waited for without "
      "end otherwise");
  if (!maintenance)
    app.add_flag("--maintenance", options->maintenance,
                 "Somebody is at work on it: that it is down is no incident");
  app.add_flag("--dry-run", options->dry_run, "Only show the plan");
  app.add_flag("--no-wait,--detach", options->no_wait, "Do not wait until it is quiet");
  return [options](Context& context) { return drain(context, *options); };
}

}  // namespace

Command drain_command() {
  return {
      .name = "drain",
      .summary = "Send no more work to a node, and wait until it is quiet",
      .help =
          "From this moment on tenants are no longer sent to the node and discovery does not name "
          "it; the\ninstances of services with a count move to other nodes. What runs on every "
          "node stays, and the\nsessions of services with a drain check are waited for: until "
          "they end by themselves, or until the\ndeadline, when they are ended. Exits with 4 when "
          "the deadline passed with something left.\n`frameworks resume` sends work to it again. "
          "Safe to repeat, also with another deadline.",
      .examples = {{"drain us-edge-1", "and wait until nobody is on it"},
                   {"drain us-edge-1 --deadline 30m", "but not longer than half an hour"},
                   {"drain us-edge-1 --no-wait", "`frameworks get node us-edge-1` tells how far"},
                   {"drain us-edge-1 --dry-run", "what would move, and who is on it"}},
      .setup = [](CLI::App& app) { return setup_drain(app, false); }};
}

Command maintenance_command() {
  return {
      .name = "maintenance",
      .summary = "Drain a node for work on it",
      .help =
          "As `frameworks drain --maintenance`: the node is drained, and that it is down meanwhile "
          "is\nno incident. Ended by `frameworks resume`.",
      .examples = {{"maintenance us-edge-1 --deadline 10m", "then change its disk"}},
      .setup = [](CLI::App& app) { return setup_drain(app, true); }};
}

Command resume_command() {
  return {
      .name = "resume",
      .summary = "Send work to a drained node again",
      .help = "Ends a drain or a maintenance. What moved away from the node does not move back.",
      .examples = {{"resume us-edge-1", "tenants are sent to it again"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->node, "The node")->required();
        app.add_flag("--dry-run", options->dry_run, "Only show the plan");
        app.add_flag("--no-wait,--detach", options->no_wait, "Do not wait for the operation");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::ResumeNodeRequest request;
          request.set_node(options->node);
          request.set_dry_run(options->dry_run);
          const auto stub = client->stub<pb::Orchestration>();
          ASSIGN_OR_RETURN(const pb::ApplyResponse response,
                           client->call(*stub, &pb::Orchestration::StubInterface::Resume, request));
          return show_written(context, *client, response, options->dry_run,
                              options->no_wait ? Follow::kNot : Follow::kToTheEnd);
        };
      }};
}

}  // namespace frameworks::cli
