// Rules that span resources: what may not collide, and what must add up.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/snapshot.h"

namespace frameworks {

// What changed, and where violations go. A collision is told of the changed resource of the two.
struct FleetCheck {
  const Snapshot& fleet;
  std::vector<ResourceKey> changed;    // sorted
  std::vector<ResourceKey> removed{};  // of these
  std::vector<Violation> violations{};

  [[nodiscard]] bool touches(std::string_view kind) const {
    const auto at = std::lower_bound(changed.begin(), changed.end(), kind,
                                     [](const ResourceKey& key, std::string_view wanted) {
                                       return std::string_view(key.kind) < wanted;
                                     });
    return at != changed.end() && at->kind == kind;
  }
  [[nodiscard]] bool is_changed(std::string_view kind, const std::string& name) const {
    return is_changed(ResourceKey{std::string(kind), {}, name});
  }
  [[nodiscard]] bool is_changed(const ResourceKey& key) const {
    return std::binary_search(changed.begin(), changed.end(), key);
  }
  void fail(std::string object, std::string field, std::string message) {
    violations.push_back({{}, 0, std::move(object), std::move(field), std::move(message)});
  }
};

// No two clusters' address ranges overlap.
void check_ranges(FleetCheck& check);
// No port is taken twice on a node, by the services' placements.
void check_ports(FleetCheck& check);
// No service depends on itself by way of others.
void check_dependencies(FleetCheck& check);
// Local pools of a region agree on its WAN delay, and clusters have addresses for their nodes.
void check_pools(FleetCheck& check);
// No two nodes have the same address.
void check_addresses(FleetCheck& check);
// No two tenants have the same name in the DNS, and none owns more than its limits allow.
void check_tenants(FleetCheck& check);
// Nothing that is still referenced goes away.
void check_removals(FleetCheck& check);

}  // namespace frameworks
