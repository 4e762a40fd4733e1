// Makes the mesh's names resolve on the node: a block of its hosts file.
#pragma once

#include <filesystem>

#include "base/error.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

// Replaces the block between our two marker lines, or appends it; every other line stays as it is.
// The file is replaced atomically; where it cannot be (a bind mount in a container) it is written
// in place. Writes nothing when nothing differs. Idempotent.
Status apply_names(const pb::NamesSection& section,
                   const std::filesystem::path& hosts = "/etc/hosts");

}  // namespace frameworks
