// Something that went wrong, from its first sign to its end. Written by the runtime layer.
#include "frameworks/v1/operation.pb.h"
#include "model/kinds.h"

namespace frameworks {
namespace {

std::string state(const pb::Incident& incident) {
  return incident.status().has_close_time() ? "closed" : "open";
}

}  // namespace

Kind incident_kind() {
  return make_kind<pb::Incident>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& i) { return i.metadata().name(); }},
                  {"STATE", state},
                  {"CAUSE", [](const auto& i) { return i.spec().cause(); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
