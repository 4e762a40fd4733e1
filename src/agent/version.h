#pragma once

namespace frameworks {

// Set by the build from the project's version.
inline constexpr const char* kAgentVersion = FW_VERSION;

}  // namespace frameworks
