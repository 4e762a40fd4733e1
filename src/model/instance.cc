// A service on a node. Spec: orchestration. Status: health, from the agent's reports.
#include "frameworks/v1/service.pb.h"
#include "model/kinds.h"
#include "model/words.h"

namespace frameworks {
namespace {

std::string state(const pb::Instance& instance) {
  const std::string text = word(instance.status().state());
  return text.empty() ? "unknown" : text;
}

}  // namespace

Kind instance_kind() {
  return make_kind<pb::Instance>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& i) { return i.metadata().name(); }},
                  {"SERVICE", [](const auto& i) { return i.spec().service(); }},
                  {"NODE", [](const auto& i) { return i.spec().node(); }},
                  {"HEALTH", state},
                  {"REASON", [](const auto& i) { return i.status().reason(); }}},
      .index =
          [](const auto& i) {
            return std::vector<std::pair<std::string, std::string>>{{"service", i.spec().service()},
                                                                    {"node", i.spec().node()}};
          },
  });
}

}  // namespace frameworks
