// A person or a program that uses the API. Written by administrators.
#include <fmt/format.h>

#include <set>

#include "frameworks/v1/access.pb.h"
#include "model/identity.h"
#include "model/kinds.h"
#include "model/snapshot.h"
#include "model/words.h"

namespace frameworks {
namespace {

void validate(const pb::Account& account, Validation& out) {
  if (account.metadata().name() == "admin")
    out.fail("metadata.name",
             "\"admin\" is the first administrator, whose token is in the server's state folder: "
             "choose another name");
  std::set<std::string> own;
  for (int i = 0; i < account.spec().identities_size(); ++i) {
    const pb::Identity& identity = account.spec().identities(i);
    const std::string key = identity_key(identity.issuer(), identity.subject());
    const std::string field = fmt::format("spec.identities[{}]", i);
    if (!own.insert(key).second)
      out.fail(field, fmt::format("\"{}\" is given twice: remove one", identity.subject()));
    for (const auto& other : out.snapshot().find_by<pb::Account>("identity", key))
      if (other->metadata().name() != account.metadata().name())
        out.fail(field, fmt::format("\"{}\" at {} is Account/{} already: remove it there first",
                                    identity.subject(), identity.issuer(),
                                    other->metadata().name()));
  }
}

std::vector<std::pair<std::string, std::string>> index(const pb::Account& account) {
  std::vector<std::pair<std::string, std::string>> out;
  if (!account.spec().tenant().empty()) out.emplace_back("tenant", account.spec().tenant());
  for (const pb::Identity& identity : account.spec().identities())
    out.emplace_back("identity", identity_key(identity.issuer(), identity.subject()));
  return out;
}

std::string tenant(const pb::Account& account) {
  return account.spec().tenant().empty() ? "-" : account.spec().tenant();
}

}  // namespace

Kind account_kind() {
  return make_kind<pb::Account>({
      .defaults = nullptr,
      .validate = validate,
      .columns = {{"NAME", [](const auto& a) { return a.metadata().name(); }},
                  {"DISPLAY NAME", [](const auto& a) { return a.spec().display_name(); }},
                  {"ROLE", [](const auto& a) { return word(a.spec().role()); }},
                  {"TENANT", tenant},
                  {"DISABLED", [](const auto& a) { return a.spec().disabled() ? "yes" : "no"; }}},
      .index = index,
  });
}

}  // namespace frameworks
