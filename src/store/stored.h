// How the logs in databases keep times and resources.
#pragma once

#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "model/kind.h"

namespace frameworks {

inline int64_t to_us(WallTime time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}
inline WallTime from_us(int64_t us) { return WallTime{std::chrono::microseconds(us)}; }

// kFailedPrecondition: a newer program wrote it. kDataLoss: the bytes are none of the kind.
Result<Resource> parse_resource(std::string_view kind_name, std::string_view name,
                                std::string_view bytes);

}  // namespace frameworks
