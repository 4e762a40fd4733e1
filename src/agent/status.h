// What a node is and has, from its state folder and, when one runs, its agent.
#pragma once

#include <string>

#include "agent/agent.h"
#include "base/error.h"

namespace frameworks {

// For people. kFailedPrecondition: there is no state in the folder.
Result<std::string> status_text(const AgentOptions& options, Clock& clock);

}  // namespace frameworks
