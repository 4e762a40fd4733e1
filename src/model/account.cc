// A person or a program that uses the API. Written by administrators.
#include "frameworks/v1/access.pb.h"
#include "model/kinds.h"
#include "model/words.h"

namespace frameworks {

Kind account_kind() {
  return make_kind<pb::Account>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& a) { return a.metadata().name(); }},
                  {"DISPLAY NAME", [](const auto& a) { return a.spec().display_name(); }},
                  {"ROLE", [](const auto& a) { return word(a.spec().role()); }}},
      .index = nullptr,
  });
}

}  // namespace frameworks
