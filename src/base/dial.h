// One or several servers, as text: "core-1:19002,core-2:19002".
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace frameworks {

// In which order several servers are tried.
enum class DialOrder { kAsGiven, kShuffled };

// The target for gRPC, which connects to the first of them that answers, and to another when that
// one goes away. Names are looked up now where there are several. kInvalidArgument: a part is no
// "host:port". kUnavailable: none of the names is known.
Result<std::string> dial_target(std::string_view servers, DialOrder order = DialOrder::kAsGiven);

}  // namespace frameworks
