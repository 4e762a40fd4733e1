// How reasons of NodeHealth begin that other parts of health read again: what they say has no field
// of its own.
#pragma once

#include <string_view>

#include "frameworks/v1/node.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

inline constexpr std::string_view kHeldReason = "held: ";
inline constexpr std::string_view kAgentReason = "agent silent: ";
inline constexpr std::string_view kClockReason = "clock ";

// Vanished together with many others, and not given up yet.
inline bool is_held(const pb::NodeHealth& health) {
  return health.state() == pb::HEALTH_SUSPECT && health.reason().starts_with(kHeldReason);
}
// The machine answers, its agent does not.
inline bool has_silent_agent(const pb::NodeHealth& health) {
  return health.state() == pb::HEALTH_SUSPECT && health.reason().starts_with(kAgentReason);
}
inline bool has_wrong_clock(const pb::NodeHealth& health) {
  return health.state() == pb::HEALTH_DEGRADED &&
         health.reason().find(kClockReason) != std::string::npos;
}

}  // namespace frameworks
