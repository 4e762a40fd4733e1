// Ansible's dynamic inventory: what inventory scripts print for --list. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "runtime/inventory/hosts.h"

namespace frameworks {

// Of the hosts that have an address: groups all, tier_*, region_*, cluster_* and service_*, and
// `_meta.hostvars`. With a revision, all hosts have it as `frameworks_revision`.
std::string ansible_text(const Snapshot& snapshot, const std::vector<Host>& hosts,
                         std::optional<Revision> revision);

}  // namespace frameworks
