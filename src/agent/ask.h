// Asks an agent on this host for its state.
#pragma once

#include <string>

#include "base/error.h"

namespace frameworks {

// GET http://<address>/v1/status; the answer's body. kUnavailable: nobody answers there in 2 s.
Result<std::string> ask_agent(const std::string& address);

}  // namespace frameworks
