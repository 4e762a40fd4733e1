// Long work. Written by control (operations); spec.cancelled when somebody asks to stop it.
#include <fmt/format.h>

#include "frameworks/v1/operation.pb.h"
#include "model/kinds.h"
#include "model/words.h"

namespace frameworks {
namespace {

// "configure (2 of 3)" while a step runs; otherwise how many are done.
std::string step(const pb::Operation& operation) {
  int done = 0;
  const pb::OperationStep* running = nullptr;
  for (const pb::OperationStep& each : operation.status().steps()) {
    if (each.state() == pb::OPERATION_STATE_SUCCEEDED) ++done;
    if (each.state() == pb::OPERATION_STATE_RUNNING && running == nullptr) running = &each;
  }
  const int total = operation.status().steps_size();
  return running == nullptr ? fmt::format("{} of {} done", done, total)
                            : fmt::format("{} ({} of {})", running->name(), done + 1, total);
}

std::string state(const pb::Operation& operation) {
  const std::string text = word(operation.status().state());
  return text.empty() ? "pending" : text;
}

}  // namespace

Kind operation_kind() {
  return make_kind<pb::Operation>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& o) { return o.metadata().name(); }},
                  {"TYPE", [](const auto& o) { return o.spec().type(); }},
                  {"REVISION", [](const auto& o) { return std::to_string(o.spec().revision()); }},
                  {"STATE", state},
                  {"STEP", step},
                  {"ACTOR", [](const auto& o) { return o.spec().actor(); }},
                  {"ERROR", [](const auto& o) { return o.status().error(); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
