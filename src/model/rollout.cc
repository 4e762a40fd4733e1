// A change of a service's version, in steps. Spec: operators. Status: orchestration.
#include <fmt/format.h>

#include "frameworks/v1/service.pb.h"
#include "model/kinds.h"
#include "model/orchestration_rules.h"
#include "model/words.h"

namespace frameworks {
namespace {

void validate(const pb::Rollout& rollout, Validation& out) {
  check_rollout_strategy(rollout.spec().strategy(), "spec.strategy", out);
}

std::string version(const pb::Rollout& rollout) {
  return rollout.spec().version().empty() ? "-" : rollout.spec().version();
}

std::string state(const pb::Rollout& rollout) {
  const std::string text = word(rollout.status().state());
  return text.empty() ? "pending" : text;
}

std::string progress(const pb::Rollout& rollout) {
  int done = 0;
  for (const pb::RolloutBatch& batch : rollout.status().batches())
    done += batch.state() == pb::BATCH_STATE_DONE ? 1 : 0;
  return fmt::format("{}/{}", done, rollout.status().batches_size());
}

}  // namespace

Kind rollout_kind() {
  return make_kind<pb::Rollout>({
      .defaults = nullptr,
      .validate = validate,
      .columns = {{"NAME", [](const auto& r) { return r.metadata().name(); }},
                  {"SERVICE", [](const auto& r) { return r.spec().service(); }},
                  {"VERSION", version},
                  {"STATE", state},
                  {"BATCHES", progress},
                  {"MESSAGE", [](const auto& r) { return r.status().message(); }}},
      .index =
          [](const auto& r) {
            return std::vector<std::pair<std::string, std::string>>{
                {"service", r.spec().service()}};
          },
  });
}

}  // namespace frameworks
