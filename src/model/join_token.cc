// What lets machines join. Written by the server when a token is made, used or refused.
#include <fmt/format.h>

#include "base/text.h"
#include "frameworks/v1/node.pb.h"
#include "model/kinds.h"

namespace frameworks {
namespace {

void defaults(pb::JoinToken& token) {
  if (token.spec().max_uses() == 0) token.mutable_spec()->set_max_uses(1);
}

std::string expires(const pb::JoinToken& token) {
  if (!token.spec().has_expire_time()) return "never";
  return rfc3339(WallTime(std::chrono::seconds(token.spec().expire_time().seconds())));
}

std::string uses(const pb::JoinToken& token) {
  return fmt::format("{} of {}", token.status().uses(), token.spec().max_uses());
}

}  // namespace

Kind join_token_kind() {
  return make_kind<pb::JoinToken>({
      .defaults = defaults,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& t) { return t.metadata().name(); }},
                  {"CLUSTER", [](const auto& t) { return t.spec().cluster(); }},
                  {"NODE", [](const auto& t) { return t.spec().node(); }},
                  {"USED", uses},
                  {"REFUSED", [](const auto& t) { return std::to_string(t.status().refused()); }},
                  {"EXPIRES", expires}},
      .index =
          [](const auto& t) {
            std::vector<std::pair<std::string, std::string>> out{{"cluster", t.spec().cluster()}};
            if (!t.spec().node().empty()) out.emplace_back("node", t.spec().node());
            return out;
          },
  });
}

}  // namespace frameworks
