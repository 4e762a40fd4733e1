// An inventory's hosts in the forms of tools other than Ansible. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "runtime/inventory/hosts.h"

namespace frameworks {

// Prometheus' HTTP service discovery: a target for each TCP port of each instance, at its node's
// mesh address. All labels are __meta_frameworks_*, so that a change of state makes no new target.
// `services`: only their instances; none: all.
std::string prometheus_text(const Snapshot& snapshot, const std::vector<Host>& hosts,
                            const std::set<std::string>& services);

// ssh_config(5). Where the machine's host key is known, ssh accepts that key and no other one.
std::string ssh_config_text(const std::vector<Host>& hosts, Revision revision);

// hosts(5): the names that the mesh gives, at the addresses inside the mesh.
std::string hosts_file_text(const Snapshot& snapshot, const std::vector<Host>& hosts,
                            Revision revision);

// RFC 4180 with a header line; cells that a spreadsheet would take for formulas begin with "'".
std::string csv_text(const std::vector<Host>& hosts, Revision revision);

}  // namespace frameworks
