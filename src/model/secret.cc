// A value that must not be seen. Written by administrators.
#include "frameworks/v1/access.pb.h"
#include "model/kinds.h"

namespace frameworks {

Kind secret_kind() {
  return make_kind<pb::Secret>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& s) { return s.metadata().name(); }},
                  {"KEYS", [](const auto& s) { return std::to_string(s.spec().data_size()); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
