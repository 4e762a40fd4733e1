// What tenants may not share, and what they may not have more of.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/fleet_rules.h"

namespace frameworks {
namespace {

// One name, one tenant. Of two tenants that changed it is told of the later one.
void check_name(FleetCheck& check, const pb::Tenant& tenant, const char* index,
                const std::string& value, const std::string& field) {
  const std::string& me = tenant.metadata().name();
  for (const auto& other : check.fleet.find_by<pb::Tenant>(index, value)) {
    const std::string& name = other->metadata().name();
    if (name == me || (name > me && check.is_changed("Tenant", name))) continue;
    check.fail("Tenant/" + me, field,
               fmt::format("\"{}\" belongs to Tenant/{} already: choose another", value, name));
  }
}

bool has_verified(const pb::Tenant& tenant, const std::string& domain) {
  const auto& all = tenant.status().domains();
  return std::any_of(all.begin(), all.end(), [&](const pb::DomainStatus& status) {
    return status.domain() == domain && status.state() == pb::DOMAIN_STATE_VERIFIED;
  });
}

// Anybody may claim a domain that nobody has proven to have: a claim must not block the owner.
void check_domain(FleetCheck& check, const pb::Tenant& tenant, int place) {
  const std::string& domain = tenant.spec().domains(place);
  const std::string field = fmt::format("spec.domains[{}]", place);
  const std::string& me = tenant.metadata().name();
  const auto& all = tenant.spec().domains();
  if (std::find(all.begin(), all.begin() + place, domain) != all.begin() + place)
    check.fail("Tenant/" + me, field, fmt::format("\"{}\" is given twice: remove one", domain));
  for (const auto& other : check.fleet.find_by<pb::Tenant>("domain", domain))
    if (other->metadata().name() != me && has_verified(*other, domain))
      check.fail("Tenant/" + me, field,
                 fmt::format("\"{}\" belongs to Tenant/{} already: choose another", domain,
                             other->metadata().name()));
}

void check_names(FleetCheck& check, const pb::Tenant& tenant) {
  if (!tenant.metadata().uid().empty())
    check_name(check, tenant, "uid", tenant.metadata().uid(), "metadata.uid");
  check_name(check, tenant, "subdomain", tenant.spec().subdomain(), "spec.subdomain");
  for (int i = 0; i < tenant.spec().domains_size(); ++i) check_domain(check, tenant, i);
}

// Pools count with what they will have, so that a file is refused like the fleet would.
int64_t nodes_in(const Snapshot& fleet, const std::string& cluster) {
  int64_t count = 0;
  for (const auto& pool : fleet.find_by<pb::MachinePool>("cluster", cluster))
    count += std::max(pool->spec().count(), 0);
  for (const auto& node : fleet.find_by<pb::Node>("cluster", cluster))
    if (node->spec().pool().empty()) ++count;
  return count;
}

// Who made it too many: for each owner, the changed resource that a violation is told of.
std::map<std::string, std::string> touched_owners(const FleetCheck& check) {
  std::map<std::string, std::string> out;
  const auto add_cluster = [&](const std::string& name, const std::string& object) {
    const auto* cluster = check.fleet.find<pb::Cluster>(name);
    if (cluster != nullptr && !cluster->spec().owner().empty())
      out[cluster->spec().owner()] = object;
  };
  for (const ResourceKey& key : check.changed) {
    const bool counts = key.kind == "Tenant" || key.kind == "Cluster" ||
                        key.kind == "MachinePool" || key.kind == "Node";
    const Resource* resource = counts ? check.fleet.find(key) : nullptr;
    if (resource == nullptr) continue;
    if (key.kind == "Tenant") out.try_emplace(key.name, key.text());
    if (key.kind == "Cluster") add_cluster(key.name, key.text());
    if (key.kind == "MachinePool")
      add_cluster(resource->as<pb::MachinePool>().spec().cluster(), key.text());
    if (key.kind == "Node" && resource->as<pb::Node>().spec().pool().empty())
      add_cluster(resource->as<pb::Node>().spec().cluster(), key.text());
  }
  return out;
}

void check_limits(FleetCheck& check, const pb::Tenant& tenant, const std::string& object) {
  const pb::Limits& limits = tenant.spec().limits();
  if (limits.clusters() == 0 && limits.nodes() == 0) return;
  const std::string& name = tenant.metadata().name();
  const auto clusters = check.fleet.find_by<pb::Cluster>("owner", name);
  int64_t nodes = 0;
  for (const auto& cluster : clusters) nodes += nodes_in(check.fleet, cluster->metadata().name());
  const auto compare = [&](const char* what, int64_t limit, int64_t count) {
    if (limit == 0 || count <= limit) return;
    check.fail(object, object == "Tenant/" + name ? fmt::format("spec.limits.{}", what) : "",
               fmt::format("tenant \"{}\" would own {} {}, and its limit is {}: raise "
                           "spec.limits.{} of Tenant/{}, or have fewer",
                           name, count, what, limit, what, name));
  };
  compare("clusters", limits.clusters(), static_cast<int64_t>(clusters.size()));
  compare("nodes", limits.nodes(), nodes);
}

}  // namespace

void check_tenants(FleetCheck& check) {
  for (const ResourceKey& key : check.changed)
    if (const auto* tenant =
            key.kind == "Tenant" ? check.fleet.find<pb::Tenant>(key.name) : nullptr)
      check_names(check, *tenant);
  for (const auto& [owner, object] : touched_owners(check))
    if (const auto* tenant = check.fleet.find<pb::Tenant>(owner))
      check_limits(check, *tenant, object);
}

}  // namespace frameworks
