// Machines of one tier in one region. Written by operators.
#include <fmt/format.h>

#include "base/ip.h"
#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/kinds.h"
#include "model/rules.h"
#include "model/snapshot.h"
#include "model/words.h"

namespace frameworks {
namespace {

// One /64 below fd66:7261:6d65::/48 (RFC 4193). For ranges of /24 and wider its number is the
// middle two octets of the IPv4 range, so that people can match the two by eye; for narrower ones a
// hash. Two ranges that yield the same /64 are found as overlapping; mesh6 can then be given.
std::string derive_mesh6(const std::string& mesh) {
  const Result<Cidr> range = Cidr::parse(mesh);
  if (!range || !range->address().is_v4()) return {};
  const Cidr network = range->network();
  unsigned high = network.address().bytes()[1];
  unsigned low = network.address().bytes()[2];
  if (network.prefix() > 24) {
    const std::string digest = sha256(network.text());
    high = static_cast<unsigned char>(digest[0]);
    low = static_cast<unsigned char>(digest[1]);
  }
  const auto derived = Cidr::parse(fmt::format("fd66:7261:6d65:{:x}::/64", high << 8 | low));
  return derived ? derived->text() : std::string();
}

void defaults(pb::Cluster& cluster) {
  pb::ClusterSpec& spec = *cluster.mutable_spec();
  if (spec.sharing() == pb::SHARING_UNSPECIFIED) spec.set_sharing(pb::SHARING_SHARED);
  if (!spec.networks().mesh().empty() && spec.networks().mesh6().empty())
    spec.mutable_networks()->set_mesh6(derive_mesh6(spec.networks().mesh()));
}

void validate(const pb::Cluster& cluster, Validation& out) {
  require_label_name(cluster.metadata(), out);
  const pb::ClusterSpec& spec = cluster.spec();
  const bool owned =
      spec.sharing() == pb::SHARING_DEDICATED || spec.sharing() == pb::SHARING_CUSTOMER_MANAGED;
  if (owned && spec.owner().empty())
    out.fail("spec.owner",
             fmt::format("a {} cluster belongs to a tenant: name it", word(spec.sharing())));
  if (!owned && !spec.owner().empty())
    out.fail("spec.owner", fmt::format("tenant \"{}\" owns a shared cluster: remove the owner, or "
                                       "set spec.sharing to dedicated or customer-managed",
                                       spec.owner()));
  if (spec.sharing() != pb::SHARING_DEDICATED || spec.owner().empty()) return;
  for (const auto& grant : out.snapshot().find_by<pb::Grant>("cluster", cluster.metadata().name()))
    if (grant->metadata().tenant() != spec.owner())
      out.fail("spec.owner",
               fmt::format("Grant/{}/{} gives another tenant than \"{}\" a place here: delete the "
                           "grant first, or share the cluster",
                           grant->metadata().tenant(), grant->metadata().name(), spec.owner()));
}

std::string owner(const pb::Cluster& cluster) {
  return cluster.spec().owner().empty() ? "-" : cluster.spec().owner();
}

}  // namespace

Kind cluster_kind() {
  return make_kind<pb::Cluster>({
      .defaults = defaults,
      .validate = validate,
      .columns = {{"NAME", [](const auto& c) { return c.metadata().name(); }},
                  {"TIER", [](const auto& c) { return word(c.spec().tier()); }},
                  {"REGION", [](const auto& c) { return c.spec().region(); }},
                  {"SHARING", [](const auto& c) { return word(c.spec().sharing()); }},
                  {"OWNER", owner},
                  {"MESH", [](const auto& c) { return c.spec().networks().mesh(); }},
                  {"MACHINES", [](const auto& c) { return c.spec().networks().machines(); }}},
      .index =
          [](const auto& c) {
            std::vector<std::pair<std::string, std::string>> out{{"region", c.spec().region()},
                                                                 {"tier", word(c.spec().tier())}};
            if (!c.spec().owner().empty()) out.emplace_back("owner", c.spec().owner());
            return out;
          },
  });
}

}  // namespace frameworks
