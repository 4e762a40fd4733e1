// An apply that came with a request id. Written by the server.
#include "frameworks/v1/applied_request.pb.h"
#include "model/kinds.h"

namespace frameworks {

Kind applied_request_kind() {
  return make_kind<pb::AppliedRequest>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& r) { return r.metadata().name(); }},
                  {"OPERATION", [](const auto& r) { return r.spec().operation(); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
