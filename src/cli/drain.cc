#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/follow_resource.h"
#include "cli/written.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/orchestration_api.grpc.pb.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

using google::protobuf::util::TimeUtil;

struct Options {
  std::string node;
  std::string deadline;
  bool maintenance = false;
  bool no_wait = false;
  bool dry_run = false;
};

// The end of an earlier drain may still be told, when this one has another deadline.
bool has_expired(const pb::Node& node) {
  const pb::DrainStatus& drain = node.status().drain();
  return drain.state() == pb::DRAIN_STATE_EXPIRED && node.spec().has_drain_deadline() &&
         drain.end_time() >= node.spec().drain_deadline();
}

std::string drain_text(const Resource& resource) {
  const auto& node = resource.as<pb::Node>();
  const pb::DrainStatus& drain = node.status().drain();
  const bool has_ended = drain.state() == pb::DRAIN_STATE_DRAINED || has_expired(node);
  const bool is_told = has_ended || drain.state() == pb::DRAIN_STATE_LEAVING ||
                       drain.state() == pb::DRAIN_STATE_WAITING;
  return fmt::format(
      "{}: {}{}{}{}", resource.name(), is_told ? word(drain.state()) : "begins",
      is_told && !drain.message().empty() ? ": " : "", is_told ? drain.message() : "",
      has_ended || !node.spec().has_drain_deadline()
          ? ""
          : fmt::format(" (deadline {})", TimeUtil::ToString(TimeUtil::SecondsToTimestamp(
                                              node.spec().drain_deadline().seconds()))));
}

// Until it is quiet, or the deadline has passed with something left.
std::optional<int> drain_end(const Resource& resource) {
  const auto& node = resource.as<pb::Node>();
  if (node.status().drain().state() == pb::DRAIN_STATE_DRAINED) return kExitOk;
  if (has_expired(node)) return kExitOperationFailed;
  return std::nullopt;
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
  // The drain has begun; the operation may wait for nodes that have nothing to do with it.
  ASSIGN_OR_RETURN(const int code,
                   show_written(context, *client, response, options.dry_run, Follow::kNot));
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
          "the deadline passed with something left.\nThe operation that brings instances up "
          "elsewhere is "
          "named and not waited for. `frameworks resume` sends\nwork to the node again. Safe to "
          "repeat, also with another deadline.",
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
