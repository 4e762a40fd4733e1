// Changes of the fleet as they happen.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace frameworks::cli {

// Shows what there is of the kinds (none: all; one: as a table), then every change until
// interrupted. Goes on after the last one seen when the server was away.
Result<int> watch_changes(Context& context, const std::vector<std::string>& kinds,
                          const std::string& tenant);

}  // namespace frameworks::cli
