#include "runtime/access/visibility.h"

#include <algorithm>
#include <map>

#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/tenants/entitlement.h"

namespace frameworks {
namespace {

// How a kind's resources are told to be a tenant's. Kinds that are not listed are seen by nobody
// who is bound to a tenant, so that a new kind begins as a closed door.
enum class Rule { kItself, kGrant, kCluster, kMachine, kAccess, kInstance, kAccount, kToken };

const Rule* rule_of(const Kind& kind) {
  static const std::map<std::string, Rule, std::less<>> kRules{
      {"Tenant", Rule::kItself},       {"Grant", Rule::kGrant},       {"Cluster", Rule::kCluster},
      {"MachinePool", Rule::kMachine}, {"Node", Rule::kMachine},      {"JoinToken", Rule::kAccess},
      {"Invite", Rule::kAccess},       {"Instance", Rule::kInstance}, {"Account", Rule::kAccount},
      {"AccessToken", Rule::kToken},
  };
  const auto found = kRules.find(kind.name);
  return found == kRules.end() ? nullptr : &found->second;
}

const std::string& cluster_of(const Resource& resource) {
  static const std::string kNone;
  const std::string& kind = resource.kind().name;
  if (kind == "Grant") return resource.as<pb::Grant>().spec().cluster();
  if (kind == "MachinePool") return resource.as<pb::MachinePool>().spec().cluster();
  if (kind == "Node") return resource.as<pb::Node>().spec().cluster();
  if (kind == "JoinToken") return resource.as<pb::JoinToken>().spec().cluster();
  if (kind == "Invite") return resource.as<pb::Invite>().spec().cluster();
  return kNone;
}

}  // namespace

Visibility::Visibility(const Snapshot& snapshot, std::string tenant)
    : snapshot_(snapshot), tenant_(std::move(tenant)) {
  if (tenant_.empty()) return;
  for (const auto& grant : snapshot.find_by<pb::Grant>("tenant", tenant_)) {
    if (!is_valid(snapshot, *grant)) continue;
    const std::string& cluster = grant->spec().cluster();
    granted_.insert(cluster);
    if (grant->spec().level() >= pb::GRANT_LEVEL_OPERATE) operated_.insert(cluster);
    if (grant->spec().level() >= pb::GRANT_LEVEL_OWN) managed_.insert(cluster);
  }
  for (const auto& cluster : snapshot.find_by<pb::Cluster>("owner", tenant_)) {
    const std::string& name = cluster->metadata().name();
    owned_.insert(name);
    if (cluster->spec().sharing() != pb::SHARING_CUSTOMER_MANAGED) continue;
    managed_.insert(name);
    operated_.insert(name);
  }
  machines_ = owned_;
  machines_.insert(operated_.begin(), operated_.end());
  access_ = owned_;
  access_.insert(managed_.begin(), managed_.end());
}

bool Visibility::owns(const std::string& cluster) const {
  return everything() || owned_.contains(cluster);
}

bool Visibility::manages(const std::string& cluster) const {
  return everything() || managed_.contains(cluster);
}

bool Visibility::operates(const std::string& cluster) const {
  return everything() || operated_.contains(cluster);
}

bool Visibility::sees(const Resource& resource) const {
  return everything() || sees_kind(resource);
}

bool Visibility::sees_kind(const Resource& resource) const {
  const Rule* rule = rule_of(resource.kind());
  if (rule == nullptr) return false;
  switch (*rule) {
    case Rule::kItself:
      return resource.name() == tenant_;
    case Rule::kGrant:
      return resource.metadata().tenant() == tenant_ || access_.contains(cluster_of(resource));
    case Rule::kCluster:
      return owned_.contains(resource.name()) || granted_.contains(resource.name());
    case Rule::kMachine:
      return machines_.contains(cluster_of(resource));
    case Rule::kAccess:
      return access_.contains(cluster_of(resource));
    case Rule::kInstance: {
      if (machines_.empty()) return false;
      const auto* node = snapshot_.find<pb::Node>(resource.as<pb::Instance>().spec().node());
      return node != nullptr && machines_.contains(node->spec().cluster());
    }
    case Rule::kAccount:
      return resource.as<pb::Account>().spec().tenant() == tenant_;
    case Rule::kToken: {
      const auto* account =
          snapshot_.find<pb::Account>(resource.as<pb::AccessToken>().spec().account());
      return account != nullptr && account->spec().tenant() == tenant_;
    }
  }
  return false;
}

const Resource* Visibility::find(const ResourceKey& key) const {
  const Resource* found = snapshot_.find(key);
  return found != nullptr && sees(*found) ? found : nullptr;
}

std::vector<Resource> Visibility::list(const Kind& kind) const {
  if (everything()) return snapshot_.list(kind);
  const Rule* rule = rule_of(kind);
  std::vector<Resource> out;
  if (rule == nullptr) return out;
  const auto take = [&](std::vector<Resource> more) {
    std::move(more.begin(), more.end(), std::back_inserter(out));
  };
  if (*rule == Rule::kItself || *rule == Rule::kCluster) {
    Names names = owned_;
    names.insert(granted_.begin(), granted_.end());
    if (*rule == Rule::kItself) names = {tenant_};
    for (const std::string& name : names)
      if (const Resource* found = snapshot_.find(kind, {}, name)) out.push_back(*found);
    return out;
  }
  if (*rule == Rule::kAccount) return snapshot_.find_by(kind, "tenant", tenant_);
  if (*rule == Rule::kToken)
    for (const auto& account : snapshot_.find_by<pb::Account>("tenant", tenant_))
      take(snapshot_.find_by(kind, "account", account->metadata().name()));
  if (*rule == Rule::kGrant) take(snapshot_.find_by(kind, "tenant", tenant_));
  if (*rule == Rule::kGrant || *rule == Rule::kAccess)
    for (const std::string& cluster : access_) take(snapshot_.find_by(kind, "cluster", cluster));
  if (*rule == Rule::kMachine)
    for (const std::string& cluster : machines_) take(snapshot_.find_by(kind, "cluster", cluster));
  if (*rule == Rule::kInstance)
    for (const std::string& cluster : machines_)
      for (const auto& node : snapshot_.find_by<pb::Node>("cluster", cluster))
        take(snapshot_.find_by(kind, "node", node->metadata().name()));
  const auto place = [](const Resource& resource) {
    return std::tie(resource.metadata().tenant(), resource.name());
  };
  std::sort(out.begin(), out.end(),
            [&](const Resource& a, const Resource& b) { return place(a) < place(b); });
  // A grant of the tenant on its own cluster is found by both.
  out.erase(std::unique(out.begin(), out.end(),
                        [&](const Resource& a, const Resource& b) { return place(a) == place(b); }),
            out.end());
  return out;
}

Resource Visibility::shown(const Resource& resource) const {
  if (everything() || resource.kind().name != "Cluster") return resource;
  const auto& cluster = resource.as<pb::Cluster>();
  if (cluster.spec().owner().empty() || cluster.spec().owner() == tenant_) return resource;
  pb::Cluster copy = cluster;
  copy.mutable_spec()->clear_owner();
  copy.mutable_spec()->clear_sharing();
  return Resource::of(std::move(copy));
}

bool Visibility::depends_on(const Resource& before, const Resource& after) const {
  const Resource& any = after ? after : before;
  if (everything() || !any) return false;
  const std::string& kind = any.kind().name;
  if (kind == "Grant") return any.metadata().tenant() == tenant_;
  const auto owner = [&](const Resource& r) {
    return r && r.as<pb::Cluster>().spec().owner() == tenant_;
  };
  if (kind == "Cluster") return owner(before) || owner(after);
  const auto of_account = [&](const Resource& r) {
    return r && r.as<pb::Account>().spec().tenant() == tenant_;
  };
  return kind == "Account" && (of_account(before) || of_account(after));
}

}  // namespace frameworks
