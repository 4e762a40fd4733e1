// What a caller that is bound to a tenant sees of the fleet.
//
// It sees its Tenant, what the tenant owns, its accounts and their tokens, the clusters it may use,
// and of the clusters it owns also machine pools, nodes, instances, join tokens, invites and the
// grants on them. Everything else is to it as if it did not exist. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/snapshot.h"

namespace frameworks {

class Visibility {
 public:
  // `tenant` empty: a caller of the whole fleet, who sees everything. The snapshot must outlive it.
  Visibility(const Snapshot& snapshot, std::string tenant);

  [[nodiscard]] bool everything() const { return tenant_.empty(); }
  [[nodiscard]] const std::string& tenant() const { return tenant_; }
  [[nodiscard]] const Snapshot& snapshot() const { return snapshot_; }

  // The resource need not be part of the snapshot: one that was, or will be, is judged by what the
  // snapshot says of its cluster and account.
  [[nodiscard]] bool sees(const Resource& resource) const;
  // nullptr when there is none, or none that is seen.
  [[nodiscard]] const Resource* find(const ResourceKey& key) const;
  // Sorted by tenant and name, like Snapshot::list(). Work grows with what is seen.
  [[nodiscard]] std::vector<Resource> list(const Kind& kind) const;
  // The resource without what it says of other tenants.
  [[nodiscard]] Resource shown(const Resource& resource) const;

  // The cluster belongs to the tenant.
  [[nodiscard]] bool owns(const std::string& cluster) const;
  // The tenant owns the cluster and runs it: it is customer-managed, or a grant says `own`.
  [[nodiscard]] bool manages(const std::string& cluster) const;

  // Whether a change may alter what else is seen: grants, clusters' owners, accounts.
  [[nodiscard]] bool depends_on(const Resource& before, const Resource& after) const;

 private:
  [[nodiscard]] bool sees_kind(const Resource& resource) const;

  const Snapshot& snapshot_;
  const std::string tenant_;
  std::set<std::string, std::less<>> owned_;    // clusters
  std::set<std::string, std::less<>> managed_;  // of those
  std::set<std::string, std::less<>> granted_;
};

}  // namespace frameworks
