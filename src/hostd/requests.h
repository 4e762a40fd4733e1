// Checks of what callers send. Every violation is reported at once, by field.
#pragma once

#include "base/error.h"
#include "frameworks/v1/hostd.pb.h"

namespace frameworks::hostd {

Status check_fabric(const v1::EnsureFabricRequest& request);
Status check_machine(const v1::MachineSpec& spec);

}  // namespace frameworks::hostd
