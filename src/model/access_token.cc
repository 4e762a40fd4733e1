// A token of an account. Written by the server when it is made, used or revoked.
#include "base/text.h"
#include "frameworks/v1/access.pb.h"
#include "model/kinds.h"
#include "model/words.h"

namespace frameworks {
namespace {

std::string time_text(bool set, const google::protobuf::Timestamp& time) {
  if (!set) return "never";
  return rfc3339(WallTime(std::chrono::seconds(time.seconds())));
}

}  // namespace

Kind access_token_kind() {
  return make_kind<pb::AccessToken>({
      .defaults = nullptr,
      .validate = nullptr,
      .columns = {{"NAME", [](const auto& t) { return t.metadata().name(); }},
                  {"ACCOUNT", [](const auto& t) { return t.spec().account(); }},
                  {"ROLE", [](const auto& t) { return word(t.spec().role()); }},
                  {"REVOKED", [](const auto& t) { return t.spec().revoked() ? "yes" : "no"; }},
                  {"LAST USE",
                   [](const auto& t) {
                     return time_text(t.status().has_last_use_time(), t.status().last_use_time());
                   }},
                  {"EXPIRES",
                   [](const auto& t) {
                     return time_text(t.spec().has_expire_time(), t.spec().expire_time());
                   }}},
      .index =
          [](const auto& t) {
            return std::vector<std::pair<std::string, std::string>>{
                {"account", t.spec().account()}};
          },
  });
}

}  // namespace frameworks
