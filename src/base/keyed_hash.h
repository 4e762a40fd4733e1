// A hash that nobody outside can aim at: SipHash-1-3 with a key of this process.
#pragma once

#include <cstdint>
#include <string_view>

namespace frameworks {

// Differs from run to run: never store it, never send it.
uint64_t keyed_hash(std::string_view bytes);

}  // namespace frameworks
