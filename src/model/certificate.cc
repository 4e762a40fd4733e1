// A TLS certificate for names. Written by operators.
#include "frameworks/v1/network.pb.h"
#include "model/kinds.h"
#include "model/rules.h"

namespace frameworks {

Kind certificate_kind() {
  return make_kind<pb::Certificate>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& c) { return c.metadata().name(); }},
                  {"NAMES", [](const auto& c) { return list_text(c.spec().names()); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
