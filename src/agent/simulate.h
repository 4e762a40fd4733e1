// Many nodes in one process, on fake drivers: API, command line and plans can be tried anywhere.
#pragma once

#include <filesystem>
#include <stop_token>

#include "agent/agent.h"
#include "base/error.h"

namespace frameworks {

// Runs a node for every `tokens`/<node>.token, also for those that come later, and for every node
// that joined in an earlier run. `common.state` holds a folder a node. Until stopped.
Status simulate(const AgentOptions& common, const std::filesystem::path& tokens, Clock& clock,
                const std::stop_token& stop);

}  // namespace frameworks
