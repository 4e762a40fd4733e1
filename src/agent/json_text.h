// The agent writes JSON in one place only; a library for it would cost a megabyte.
#pragma once

#include <string>
#include <string_view>

namespace frameworks {

// Quoted and escaped (RFC 8259).
std::string json_string(std::string_view text);

}  // namespace frameworks
