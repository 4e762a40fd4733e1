// The process that stands over one machine: `frameworks-hostd supervise`. It outlives the daemon,
// starts the machine's container, starts it again when it reboots or crashes, and writes down what
// it sees (supervisor.json). One thread. The container dies with it, so that there is never one
// that nobody watches.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"

namespace frameworks::hostd {

// cgroups below the instance's directory: the machine's own, and that of its supervisor and
// whatever the supervisor runs to prepare it.
std::string machine_cgroup(const std::string& machine);
std::string supervisor_cgroup(const std::string& machine);

// Returns when the machine has powered itself off; other ends are reported in supervisor.json.
Status supervise(const std::filesystem::path& state, const std::string& machine);

}  // namespace frameworks::hostd
