// The step "configure" of an apply: every host that is not as the inventory says, by one run.
#pragma once

#include <string>

#include "config/system/configurator.h"
#include "control/operations.h"

namespace frameworks {

struct ConfigureStep {
  Configurator& configurator;
  // What agents dial, and the CA they trust it by.
  std::string agent_server;
  std::string agent_ca;

  // Hosts that fail do not hold up others: those that succeeded are recorded, the error names the
  // rest.
  Status run(OperationContext& context) const;
};

}  // namespace frameworks
