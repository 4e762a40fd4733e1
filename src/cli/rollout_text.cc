#include "cli/rollout_text.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "base/text.h"
#include "cli/follow_resource.h"
#include "cli/resources.h"
#include "cli/table.h"
#include "model/words.h"

namespace frameworks::cli {
namespace {

using google::protobuf::util::TimeUtil;

std::string version_text(const std::string& version) {
  return version.empty() ? "the distribution's version" : version;
}

std::string state_text(const pb::Rollout& rollout) {
  const std::string text = word(rollout.status().state());
  return text.empty() ? "pending" : text;
}

std::string nodes_text(const pb::RolloutBatch& batch) {
  std::string out;
  for (const std::string& node : batch.nodes()) out += (out.empty() ? "" : ", ") + node;
  return out;
}

std::string took(const pb::RolloutBatch& batch, WallTime now) {
  if (!batch.has_start_time()) return {};
  const auto begin = TimeUtil::TimestampToMilliseconds(batch.start_time());
  const auto end =
      batch.has_end_time()
          ? TimeUtil::TimestampToMilliseconds(batch.end_time())
          : std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return human_duration(std::chrono::milliseconds(std::max<int64_t>(0, end - begin)));
}

// One line: where it is, and what it waits for.
std::string progress_text(const Resource& resource) {
  const auto& rollout = resource.as<pb::Rollout>();
  int index = 0;
  for (const pb::RolloutBatch& batch : rollout.status().batches()) {
    ++index;
    const pb::BatchState state = batch.state();
    const bool is_past = state == pb::BATCH_STATE_DONE || state == pb::BATCH_STATE_ROLLED_BACK ||
                         (state == pb::BATCH_STATE_FAILED && !has_ended(rollout));
    if (is_past || has_ended(rollout)) continue;
    if (state == pb::BATCH_STATE_PENDING && batch.message().empty() &&
        rollout.status().state() != pb::ROLLOUT_STATE_RUNNING)
      continue;
    return fmt::format("{}: {}: {} {} of {} ({}): {}{}{}", rollout.metadata().name(),
                       state_text(rollout), batch.canary() ? "canary" : "batch", index,
                       rollout.status().batches_size(), nodes_text(batch), word(state),
                       batch.message().empty() ? "" : ": ", batch.message());
  }
  return fmt::format("{}: {}{}{}", rollout.metadata().name(), state_text(rollout),
                     rollout.status().message().empty() ? "" : ": ", rollout.status().message());
}

}  // namespace

bool has_ended(const pb::Rollout& rollout) {
  const pb::RolloutState state = rollout.status().state();
  return state == pb::ROLLOUT_STATE_SUCCEEDED || state == pb::ROLLOUT_STATE_ROLLED_BACK ||
         state == pb::ROLLOUT_STATE_FAILED;
}

void print_rollout(const pb::Rollout& rollout, const Terminal& terminal, WallTime now) {
  const pb::RolloutStatus& status = rollout.status();
  const std::string state = state_text(rollout);
  terminal.out << fmt::format("{}  {} to {}", rollout.metadata().name(), rollout.spec().service(),
                              version_text(rollout.spec().version()));
  if (status.has_start_time())
    terminal.out << fmt::format(", from {}", version_text(status.from_version()));
  terminal.out << "\n"
               << terminal.paint(colour_of_state(state), state)
               << (status.message().empty() ? "" : ": ") << status.message() << "\n";
  if (status.batches().empty()) return;
  Table table({"BATCH", "REGION", "NODES", "STATE", "TOOK", "MESSAGE"});
  int index = 0;
  for (const pb::RolloutBatch& batch : status.batches())
    table.add({fmt::format("{}{}", ++index, batch.canary() ? " canary" : ""), batch.region(),
               nodes_text(batch), word(batch.state()), took(batch, now), batch.message()});
  table.print(terminal);
}

Result<std::vector<pb::Rollout>> list_rollouts(Client& client, const std::string& service) {
  ASSIGN_OR_RETURN(const Listing listing, list_resources(client, kind_of<pb::Rollout>(), {}));
  std::vector<pb::Rollout> out;
  for (const Resource& each : listing.resources)
    if (service.empty() || each.as<pb::Rollout>().spec().service() == service)
      out.push_back(each.as<pb::Rollout>());
  std::stable_sort(out.begin(), out.end(), [](const pb::Rollout& a, const pb::Rollout& b) {
    return a.metadata().create_time() < b.metadata().create_time();
  });
  return out;
}

Result<pb::Rollout> find_rollout(Client& client, const std::string& name) {
  ASSIGN_OR_RETURN(const auto all, list_rollouts(client, {}));
  const pb::Rollout* found = nullptr;
  for (const pb::Rollout& rollout : all) {
    if (rollout.metadata().name() == name) return rollout;
    if (rollout.spec().service() != name) continue;
    const bool is_better = found == nullptr || has_ended(*found);
    if (is_better) found = &rollout;
  }
  if (found != nullptr) return *found;
  return Error(Code::kNotFound,
               fmt::format("\"{}\" is no rollout, and no service that has one: `frameworks rollout "
                           "list` lists them",
                           name));
}

Result<int> follow_rollout(Context& context, Client& client, const std::string& rollout,
                           pb::RolloutState wanted) {
  return follow_resource(context, client, kind_of<pb::Rollout>(), rollout,
                         {progress_text, [wanted](const Resource& each) -> std::optional<int> {
                            const auto& rollout = each.as<pb::Rollout>();
                            if (!has_ended(rollout)) return std::nullopt;
                            return rollout.status().state() == wanted ? kExitOk
                                                                      : kExitOperationFailed;
                          }});
}

}  // namespace frameworks::cli
