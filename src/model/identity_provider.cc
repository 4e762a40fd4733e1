// Where people log in. Written by administrators.
#include "frameworks/v1/access.pb.h"
#include "model/kinds.h"

namespace frameworks {

Kind identity_provider_kind() {
  return make_kind<pb::IdentityProvider>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& p) { return p.metadata().name(); }},
                  {"ISSUER", [](const auto& p) { return p.spec().issuer(); }},
                  {"CLIENT ID", [](const auto& p) { return p.spec().client_id(); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
