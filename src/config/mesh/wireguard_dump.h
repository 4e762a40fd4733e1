// What `wg show … dump` prints: the interface's line, then a line a peer, parted by tabs. Pure.
#pragma once

#include <string_view>

#include "config/mesh/wireguard.h"

namespace frameworks {

// Lines that are no peers are left out.
WireguardConfig parse_wireguard_dump(std::string_view dump);

}  // namespace frameworks
