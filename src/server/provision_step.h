// The step "provision" of an apply: every node of a local pool has its machine, and no other
// machine is left.
#pragma once

#include <string>
#include <vector>

#include "control/operations.h"
#include "frameworks/v1/node.pb.h"
#include "machine/provisioning/machines.h"

namespace frameworks {

struct ProvisionStep {
  provisioning::Machines& machines;
  // The server's side of the machines' network, e.g. "10.99.0.1"; empty: the network's first
  // address.
  std::string host_address;
  // OpenSSH public keys that configure machines.
  std::vector<std::string> authorized_keys;

  // Machines are made side by side; one that fails does not hold up others. Those that were
  // switched off on purpose stay off, also when that happens meanwhile.
  Status run(OperationContext& context) const;
};

// What the machine of a pool's node shall be; regions and links of all local pools. Pure.
v1::MachineSpec machine_spec(const Snapshot& snapshot, const pb::Node& node,
                             const std::vector<std::string>& authorized_keys);
v1::EnsureFabricRequest fabric_of(const Snapshot& snapshot, const std::string& host_address);

// Nodes that have a machine of the local provider.
std::vector<std::shared_ptr<const pb::Node>> local_nodes(const Snapshot& snapshot);

}  // namespace frameworks
