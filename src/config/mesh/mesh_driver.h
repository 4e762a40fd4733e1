// Makes the node's mesh interface what its plan says.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "config/mesh/wireguard.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

// Where the kernel keeps its settings; another folder in tests.
inline const std::filesystem::path kSysctl = "/proc/sys";

// `private_key` is the node's own, base64. Peers whose address is not the key of 32 bytes are an
// error of the whole section. Forwarding is switched on when the plan asks for it, never off:
// others may need it. Idempotent.
Status apply_mesh(const pb::MeshSection& section, const std::string& private_key,
                  Wireguard& wireguard, const std::filesystem::path& sysctl = kSysctl);

}  // namespace frameworks
