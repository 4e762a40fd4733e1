// Which of several servers does what only one may do. Written by the servers.
#include "frameworks/v1/lease.pb.h"
#include "model/kinds.h"

namespace frameworks {

Kind lease_kind() {
  return make_kind<pb::Lease>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& l) { return l.metadata().name(); }},
                  {"HOLDER", [](const auto& l) { return l.spec().holder(); }},
                  {"EPOCH", [](const auto& l) { return std::to_string(l.spec().epoch()); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
