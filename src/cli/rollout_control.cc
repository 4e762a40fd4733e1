#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/plan_text.h"
#include "cli/rollout_text.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string name;
  bool dry_run = false;
  bool wait = false;
};

std::shared_ptr<Options> common(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("NAME", options->name, "The service, or the rollout")->required();
  app.add_flag("--dry-run", options->dry_run, "Only say whether it would be");
  return options;
}

Result<pb::RolloutResponse> control(Client& client, const std::string& rollout,
                                    pb::RolloutAction action, bool dry_run) {
  pb::ControlRolloutRequest request;
  request.set_rollout(rollout);
  request.set_action(action);
  request.set_dry_run(dry_run);
  return client.call(*client.stub<pb::Orchestration>(),
                     &pb::Orchestration::StubInterface::ControlRollout, request);
}

void show(const Context& context, const pb::RolloutResponse& response, const char* what,
          bool dry_run) {
  if (context.json)
    context.terminal.out << json_text(to_json(response)) << "\n";
  else
    context.terminal.out << fmt::format("rollout {} {}{}\n", response.rollout().metadata().name(),
                                        dry_run ? "would be " : "", what);
  context.terminal.out.flush();
}

Run setup(CLI::App& app, pb::RolloutAction action, const char* what) {
  auto options = common(app);
  return [options, action, what](Context& context) -> Result<int> {
    ASSIGN_OR_RETURN(const auto client, context.connect());
    ASSIGN_OR_RETURN(const pb::Rollout rollout, find_rollout(*client, options->name));
    ASSIGN_OR_RETURN(const auto response,
                     control(*client, rollout.metadata().name(), action, options->dry_run));
    show(context, response, what, options->dry_run);
    return kExitOk;
  };
}

Result<int> abort(Context& context, Client& client, const pb::Rollout& rollout,
                  const Options& options) {
  const std::string& name = rollout.metadata().name();
  ASSIGN_OR_RETURN(const auto response,
                   control(client, name, pb::ROLLOUT_ACTION_ABORT, options.dry_run));
  show(context, response, "aborted", options.dry_run);
  if (options.dry_run || !options.wait) return kExitOk;
  return follow_rollout(context, client, name, pb::ROLLOUT_STATE_ROLLED_BACK);
}

// The last one that ended is undone by a rollout to where it came from.
Result<int> undo(Context& context, const Options& options) {
  ASSIGN_OR_RETURN(const auto client, context.connect());
  ASSIGN_OR_RETURN(const pb::Rollout last, find_rollout(*client, options.name));
  if (!has_ended(last)) return abort(context, *client, last, options);
  if (last.status().state() == pb::ROLLOUT_STATE_ROLLED_BACK)
    return Error(Code::kFailedPrecondition,
                 fmt::format("rollout {} was rolled back: there is nothing to undo",
                             last.metadata().name()));
  pb::StartRolloutRequest request;
  request.set_service(last.spec().service());
  request.set_version(last.status().from_version());
  *request.mutable_strategy() = last.spec().strategy();
  request.set_dry_run(options.dry_run);
  ASSIGN_OR_RETURN(const pb::RolloutResponse response,
                   client->call(*client->stub<pb::Orchestration>(),
                                &pb::Orchestration::StubInterface::StartRollout, request));
  if (!context.json) print_plan(response.plan(), context.terminal, Detail::kChanges);
  show(context, response, "begun", options.dry_run);
  if (options.dry_run || !options.wait) return kExitOk;
  return follow_rollout(context, *client, response.rollout().metadata().name());
}

}  // namespace

Command rollout_pause_command() {
  return {.name = "rollout pause",
          .summary = "Begin no further batch",
          .help = "The batch that is under way ends; a failure of it still takes all back.",
          .examples = {{"rollout pause media", "until `rollout resume media`"}},
          .setup = [](CLI::App& app) { return setup(app, pb::ROLLOUT_ACTION_PAUSE, "paused"); }};
}

Command rollout_resume_command() {
  return {.name = "rollout resume",
          .summary = "Go on with a paused rollout",
          .help = "",
          .examples = {{"rollout resume media", "with its next batch"}},
          .setup = [](CLI::App& app) { return setup(app, pb::ROLLOUT_ACTION_RESUME, "resumed"); }};
}

Command rollout_abort_command() {
  return {.name = "rollout abort",
          .summary = "Take a rollout back to the last good version",
          .help =
              "Every batch that was changed is changed back, the newest first. Cannot be taken "
              "back.",
          .examples = {{"rollout abort media --wait", "and tell how it goes"}},
          .setup = [](CLI::App& app) -> Run {
            auto options = common(app);
            app.add_flag("--wait", options->wait, "Tell how it goes, to its end");
            return [options](Context& context) -> Result<int> {
              ASSIGN_OR_RETURN(const auto client, context.connect());
              ASSIGN_OR_RETURN(const pb::Rollout rollout, find_rollout(*client, options->name));
              return abort(context, *client, rollout, *options);
            };
          }};
}

Command rollout_undo_command() {
  return {.name = "rollout undo",
          .summary = "Bring back the version from before the last rollout",
          .help =
              "One that is under way is aborted; one that ended is undone by a rollout of its own, "
              "with the same strategy.",
          .examples = {{"rollout undo media --dry-run", "which nodes, in which order"},
                       {"rollout undo media --wait", "and tell how it goes"}},
          .setup = [](CLI::App& app) -> Run {
            auto options = common(app);
            app.add_flag("--wait", options->wait, "Tell how it goes, to its end");
            return [options](Context& context) { return undo(context, *options); };
          }};
}

}  // namespace frameworks::cli
