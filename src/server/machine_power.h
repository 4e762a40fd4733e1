// What is known of a node's machine, and its switch.
//
// What somebody asked for is written before it is done: an operation that is making machines at the
// same time sees that one of them was switched off meanwhile, and leaves it off.
#pragma once

#include <string>

#include "frameworks/v1/node.pb.h"
#include "machine/provisioning/machines.h"
#include "store/store.h"

namespace frameworks {

// The machine runs: Node.status.machine says so, unless the node is gone or switched off meanwhile.
// True: it says so now.
Result<bool> record_running(Store& store, const Actor& actor, const std::string& node,
                            const std::string& ssh_host_key);

// It could not be made or started, unless it is switched off meanwhile.
Status record_failed(Store& store, const Actor& actor, const std::string& node,
                     const std::string& message);

// Returns when the machine is off, or ready. kNotFound; kFailedPrecondition: it was never made. What
// failed is as it was before. `who` is for people: "account/admin".
Status switch_power(Store& store, provisioning::Machines& machines, const Actor& actor,
                    const std::string& node, bool on, const std::string& who);

}  // namespace frameworks
