// What a caller that is bound to a tenant sees of the fleet.
//
// It sees its Tenant, what the tenant owns, its accounts and their tokens, and the clusters it may
// use; of those that it owns or operates also machine pools, nodes and instances; of those that it
// owns or manages also join tokens, invites and everybody's grants. Everything else is to it as if
// it did not exist. Pure.
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
  // May enrol nodes and give others access: the cluster is customer-managed and the tenant's own,
  // or a grant says `own`.
  [[nodiscard]] bool manages(const std::string& cluster) const;
  // May configure its nodes and switch them off: it manages the cluster, or a grant says `operate`.
  [[nodiscard]] bool operates(const std::string& cluster) const;

  // Whether a change may alter what else is seen: grants, clusters' owners, accounts.
  [[nodiscard]] bool depends_on(const Resource& before, const Resource& after) const;

 private:
  [[nodiscard]] bool sees_kind(const Resource& resource) const;

  const Snapshot& snapshot_;
  const std::string tenant_;
  // Clusters.
  using Names = std::set<std::string, std::less<>>;
  Names owned_, managed_, operated_, granted_;
  Names machines_;  // whose machines are seen: owned or operated
  Names access_;    // whose grants, invites and join tokens are seen: owned or managed
};

}  // namespace frameworks
