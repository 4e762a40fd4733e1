// A tenant's entitlement to a cluster. Written by operators and who owns the cluster; status by the
// runtime layer.
#include <fmt/format.h>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/kinds.h"
#include "model/rules.h"
#include "model/snapshot.h"
#include "model/words.h"

namespace frameworks {
namespace {

void defaults(pb::Grant& grant) {
  pb::GrantSpec& spec = *grant.mutable_spec();
  if (spec.level() == pb::GRANT_LEVEL_UNSPECIFIED) spec.set_level(pb::GRANT_LEVEL_USE);
}

void validate(const pb::Grant& grant, Validation& out) {
  const std::string& cluster_name = grant.spec().cluster();
  const auto* cluster = out.snapshot().find<pb::Cluster>(cluster_name);
  // One that the owner runs may be shared by the owner; a dedicated one serves its owner alone.
  if (cluster != nullptr && cluster->spec().sharing() == pb::SHARING_DEDICATED &&
      !cluster->spec().owner().empty() && cluster->spec().owner() != grant.metadata().tenant())
    out.fail("spec.cluster",
             fmt::format("cluster \"{}\" is {} of tenant \"{}\": grant a shared cluster",
                         cluster_name, word(cluster->spec().sharing()), cluster->spec().owner()));
  for (const auto& other : out.snapshot().find_by<pb::Grant>("tenant", grant.metadata().tenant()))
    if (other->spec().cluster() == cluster_name &&
        other->metadata().name() < grant.metadata().name())
      out.fail("spec.cluster",
               fmt::format("cluster \"{}\" is already granted by Grant/{}/{}: remove one of them",
                           cluster_name, other->metadata().tenant(), other->metadata().name()));
}

std::string expires(const pb::Grant& grant) {
  if (!grant.spec().has_expire_time()) return "never";
  return rfc3339(WallTime(std::chrono::seconds(grant.spec().expire_time().seconds())));
}

}  // namespace

Kind grant_kind() {
  return make_kind<pb::Grant>({
      .defaults = defaults,
      .validate = validate,
      .columns = {{"TENANT", [](const auto& g) { return g.metadata().tenant(); }},
                  {"NAME", [](const auto& g) { return g.metadata().name(); }},
                  {"CLUSTER", [](const auto& g) { return g.spec().cluster(); }},
                  {"LEVEL", [](const auto& g) { return word(g.spec().level()); }},
                  {"STATE", [](const auto& g) { return word(g.status().state()); }},
                  {"EXPIRES", expires},
                  {"LIMITS", [](const auto& g) { return limits_text(g.spec().limits()); }}},
      .index =
          [](const auto& g) {
            std::vector<std::pair<std::string, std::string>> out{{"cluster", g.spec().cluster()}};
            if (g.spec().has_expire_time() && g.status().state() != pb::GRANT_STATE_EXPIRED)
              out.emplace_back("expiry", "ahead");
            return out;
          },
  });
}

}  // namespace frameworks
