// The fabric: one network namespace without a way out, one bridge a region, all of them one flat
// segment that the WAN emulator joins. And the wire of each machine into it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/hostd.pb.h"
#include "hostd/namespaces.h"

namespace frameworks::hostd {

// Lines for `ip -batch` in the fabric that turn `observed` into what is wanted. Pure. Lines that
// change nothing where all is in place are left out only if the kernel would refuse or interrupt
// traffic; applying the plan twice is harmless.
std::vector<std::string> plan_fabric(const v1::EnsureFabricRequest& wanted,
                                     const Interfaces& observed, std::string_view owner);

Status ensure_fabric(std::string_view instance, const v1::EnsureFabricRequest& wanted,
                     std::string_view owner);
// True when the namespace exists and its bridges carry `owner` (or it has none yet).
bool is_own_fabric(std::string_view instance, std::string_view owner);

// A fresh network namespace for the machine with a wire to its region's bridge; whatever was there
// from an earlier run goes, with all rules and interfaces in it.
Status renew_machine_network(std::string_view instance, const v1::MachineSpec& spec);
// Pulls the machine's wire out: nothing that it sends from now on is seen by anybody.
Status cut_machine_network(std::string_view instance, const std::string& machine);
// Idempotent.
Status remove_machine_network(std::string_view instance, const std::string& machine);
Status remove_network_namespace(const std::string& name);

// Raises the host's limits that a fleet runs into; never lowers one.
Status raise_host_limits();

}  // namespace frameworks::hostd
