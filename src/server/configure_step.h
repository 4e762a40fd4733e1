// The step "configure": of an apply every host that is not as the inventory says, of a rollout the
// hosts of its batch whatever they are; by one run.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "config/system/configurator.h"
#include "control/operations.h"

namespace frameworks {

// One run at a time, whichever operations want one: two would be at the same host at once.
class ConfigureTurn {
 public:
  // kCancelled when `stop` was requested before it was its turn.
  Result<std::unique_lock<std::timed_mutex>> wait(std::stop_token stop);

 private:
  std::timed_mutex mutex_;
};

struct ConfigureStep {
  Configurator& configurator;
  // What agents dial, and the CA they trust it by.
  std::string agent_server;
  std::string agent_ca;
  std::shared_ptr<ConfigureTurn> turn = std::make_shared<ConfigureTurn>();

  // Hosts that fail do not hold up others: those that succeeded are recorded, the error names the
  // rest.
  Status run(OperationContext& context) const;
};

}  // namespace frameworks
