// What may be asked of machines and their network, and what an order must fit to. Pure; held by
// every side of the seam, so that they say the same in the same words.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/hostd.pb.h"

namespace frameworks::provisioning {

// Lower-case letters, digits and inner hyphens, 1 to `longest` characters (RFC 1123, 2.1).
bool is_dns_label(std::string_view text, size_t longest = 63);

// The request by itself: every violation at once, by field.
Status check_fabric(const v1::EnsureFabricRequest& request);
Status check_machine(const v1::MachineSpec& spec);

// kFailedPrecondition when a machine would be left without its region or outside the subnet.
Status check_fabric_change(const v1::EnsureFabricRequest& wanted,
                           const std::vector<v1::MachineSpec>& machines);
// Whether a new machine fits: kFailedPrecondition for a region or an address that the fabric does
// not have, kAlreadyExists for an address that is taken.
Status check_place(const v1::EnsureFabricRequest& fabric,
                   const std::vector<v1::MachineSpec>& machines, const v1::MachineSpec& spec);
// kFailedPrecondition when an existing machine would have to move.
Status check_unmoved(const v1::MachineSpec& present, const v1::MachineSpec& wanted);

}  // namespace frameworks::provisioning
