// Processes that outlive this one: told apart by number, start time and boot, never by name.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "frameworks/v1/hostd.pb.h"

namespace frameworks::hostd {

Result<v1::ProcessIdentity> identify(pid_t pid);
Result<v1::ProcessIdentity> identify_self();

// False for a process that has ended, also when nobody has fetched its exit code.
bool is_alive(const v1::ProcessIdentity& process);

// Sends the signal to exactly that process; one that has ended is no error.
Status send_signal(const v1::ProcessIdentity& process, int signal);

// SIGTERM, then SIGKILL after `patience`; returns when it has ended.
Status end_process(const v1::ProcessIdentity& process, std::chrono::milliseconds patience);

struct Detached {
  // argv[0] is a path, or the word "self" for this program's own file (also when replaced on disk).
  std::vector<std::string> argv;
  // Standard output and error are appended here.
  std::filesystem::path log;
  // "cgroup.procs" files that the process enters before it becomes argv.
  std::vector<std::filesystem::path> cgroups;
};

// Starts a process in a session of its own, not a child of this one.
Result<v1::ProcessIdentity> spawn_detached(const Detached& what);

// For use between fork and exec: writes "0" to each file; only async-signal-safe calls.
// Returns an errno.
int enter_cgroups(const std::vector<const char*>& files) noexcept;

}  // namespace frameworks::hostd
