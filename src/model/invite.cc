// A code with which tenants get a grant by themselves. Written by the server when it is made or
// used.
#include <fmt/format.h>

#include "base/text.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/kinds.h"
#include "model/words.h"

namespace frameworks {
namespace {

void defaults(pb::Invite& invite) {
  pb::InviteSpec& spec = *invite.mutable_spec();
  if (spec.max_uses() == 0) spec.set_max_uses(1);
  if (spec.level() == pb::GRANT_LEVEL_UNSPECIFIED) spec.set_level(pb::GRANT_LEVEL_USE);
}

std::string expires(const pb::Invite& invite) {
  if (!invite.spec().has_expire_time()) return "never";
  return rfc3339(WallTime(std::chrono::seconds(invite.spec().expire_time().seconds())));
}

std::string uses(const pb::Invite& invite) {
  return fmt::format("{} of {}", invite.status().uses(), invite.spec().max_uses());
}

}  // namespace

Kind invite_kind() {
  return make_kind<pb::Invite>({
      .defaults = defaults,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& i) { return i.metadata().name(); }},
                  {"CLUSTER", [](const auto& i) { return i.spec().cluster(); }},
                  {"LEVEL", [](const auto& i) { return word(i.spec().level()); }},
                  {"USED", uses},
                  {"EXPIRES", expires}},
      .index =
          [](const auto& i) {
            std::vector<std::pair<std::string, std::string>> out{{"cluster", i.spec().cluster()}};
            if (!i.spec().tenant().empty()) out.emplace_back("tenant", i.spec().tenant());
            return out;
          },
  });
}

}  // namespace frameworks
