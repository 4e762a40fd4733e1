// A DNS zone. Written by operators.
#include "frameworks/v1/network.pb.h"
#include "model/kinds.h"

namespace frameworks {

Kind zone_kind() {
  return make_kind<pb::Zone>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& z) { return z.metadata().name(); }},
                  {"DOMAIN", [](const auto& z) { return z.spec().domain(); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
