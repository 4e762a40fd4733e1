// A change of a service's version, in steps. Written by operators.
#include "frameworks/v1/service.pb.h"
#include "model/kinds.h"

namespace frameworks {

Kind rollout_kind() {
  return make_kind<pb::Rollout>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& r) { return r.metadata().name(); }},
                  {"SERVICE", [](const auto& r) { return r.spec().service(); }},
                  {"VERSION", [](const auto& r) { return r.spec().version(); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
