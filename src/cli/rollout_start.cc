#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/plan_text.h"
#include "cli/rollout_text.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string service, version, gate, patience, stagger, drain;
  int canary = -1, batch = 0, max_unavailable = 0;
  bool keep_failed = false, dry_run = false, wait = false;
};

Status set_duration(const std::string& text,
                    google::protobuf::Duration* (pb::RolloutStrategy::*set)(),
                    pb::RolloutStrategy& strategy) {
  if (text.empty()) return {};
  ASSIGN_OR_RETURN(const Duration duration, parse_duration(text));
  google::protobuf::Duration& out = *(strategy.*set)();
  out.set_seconds(duration / std::chrono::seconds(1));
  out.set_nanos(static_cast<int32_t>((duration % std::chrono::seconds(1)).count()));
  return {};
}

Result<pb::StartRolloutRequest> request_of(const Options& options) {
  pb::StartRolloutRequest request;
  request.set_service(options.service);
  request.set_version(options.version);
  request.set_dry_run(options.dry_run);
  pb::RolloutStrategy& strategy = *request.mutable_strategy();
  if (options.canary >= 0) strategy.set_canary(options.canary);
  strategy.set_batch_size(options.batch);
  strategy.set_max_unavailable(options.max_unavailable);
  strategy.set_keep_failed(options.keep_failed);
  RETURN_IF_ERROR(set_duration(options.gate, &pb::RolloutStrategy::mutable_gate, strategy));
  RETURN_IF_ERROR(set_duration(options.patience, &pb::RolloutStrategy::mutable_patience, strategy));
  RETURN_IF_ERROR(
      set_duration(options.stagger, &pb::RolloutStrategy::mutable_region_stagger, strategy));
  RETURN_IF_ERROR(set_duration(options.drain, &pb::RolloutStrategy::mutable_drain, strategy));
  return request;
}

Result<int> run(Context& context, const Options& options) {
  ASSIGN_OR_RETURN(const pb::StartRolloutRequest request, request_of(options));
  ASSIGN_OR_RETURN(const auto client, context.connect());
  const auto stub = client->stub<pb::Orchestration>();
  ASSIGN_OR_RETURN(const pb::RolloutResponse response,
                   client->call(*stub, &pb::Orchestration::StubInterface::StartRollout, request));
  const std::string& name = response.rollout().metadata().name();
  if (context.json) {
    context.terminal.out << json_text(to_json(response)) << "\n";
  } else {
    print_plan(response.plan(), context.terminal, Detail::kChanges);
    if (!options.dry_run)
      context.terminal.out << fmt::format(
          "rollout {} began at revision {}{}\n", name, response.revision(),
          options.wait
              ? ""
              : fmt::format(": follow it with `frameworks rollout status {} --watch`", name));
  }
  context.terminal.out.flush();
  if (options.dry_run || !options.wait) return kExitOk;
  return follow_rollout(context, *client, name);
}

}  // namespace

Command rollout_start_command() {
  return {
      .name = "rollout start",
      .summary = "Bring a new version of a service out, batch by batch",
      .help =
          "The canaries first, then the rest of their region, then the other regions. A batch "
          "begins "
          "when the\none before it was healthy for the gate's time. A batch that cannot be "
          "configured, "
          "or is not healthy\nin time, takes all back to the last good version. What is not given "
          "is the "
          "service's `rollout`, then\nthe default. One rollout a service at a time.",
      .examples = {{"rollout start media --version 1.23 --wait", "and tell how it goes"},
                   {"rollout start media --version 1.23 --dry-run", "which nodes, in which order"},
                   {"rollout start media --version 1.23 --canary 1 --gate 10m --batch 5",
                    "watch the canary for long, then five at a time"},
                   {"rollout start media --version 1.23 --drain 30m --region-stagger 1h",
                    "let sessions end first, and a region rest before the next"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("SERVICE", options->service, "The service")->required();
        app.add_option("--version", options->version,
                       "For the package manager; \"\" is what the distribution has")
            ->required();
        app.add_option("--canary", options->canary, "So many instances first, alone; 0: none")
            ->check(CLI::Range(0, 10000));
        app.add_option("--batch", options->batch, "At most so many instances at a time")
            ->check(CLI::Range(1, 10000));
        app.add_option("--max-unavailable", options->max_unavailable,
                       "So many instances may be away at once, however they came to be")
            ->check(CLI::Range(1, 10000));
        app.add_option("--gate", options->gate, "A batch is healthy for so long before the next");
        app.add_option("--patience", options->patience,
                       "A batch that is not healthy after so long has failed");
        app.add_option("--region-stagger", options->stagger, "Wait so long before the next region");
        app.add_option("--drain", options->drain, "Drain nodes first, for at most so long");
        app.add_flag("--keep-failed", options->keep_failed,
                     "Stop at a failure instead of going back");
        app.add_flag("--dry-run", options->dry_run, "Only show the plan");
        app.add_flag("--wait", options->wait,
                     "Tell how it goes, to its end; 4: it did not succeed");
        return [options](Context& context) { return run(context, *options); };
      },
  };
}

}  // namespace frameworks::cli
