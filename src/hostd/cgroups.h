// One cgroup per machine in every hierarchy that matters: the limits of a machine, and the list of
// its processes that nothing in it can escape from.
//
// Both worlds are served. cgroup v1 (with or without the `unified` tree beside): below the caller's
// own place, so that its limits hold for us. Pure v2: at the top of the tree, as container engines
// do, because a cgroup that has processes of its own (a login session) cannot have children with
// limits.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace frameworks::hostd {

struct Limits {
  double cpus = 0;        // 0: none
  int64_t memory_mb = 0;  // 0: none
};

// Where the instance's directories are to be, one a hierarchy, from the texts of
// /proc/self/mountinfo and /proc/self/cgroup.
std::vector<std::filesystem::path> plan_cgroup_roots(std::string_view mountinfo,
                                                     std::string_view own_cgroups,
                                                     std::string_view instance);
// The same for this host and process.
Result<std::vector<std::filesystem::path>> find_cgroup_roots(std::string_view instance);

// Threadsafe: keeps no state but the paths.
class Cgroups {
 public:
  explicit Cgroups(std::vector<std::filesystem::path> roots) : roots_(std::move(roots)) {}

  // kFailedPrecondition: the hierarchies are not mounted in this mount namespace, so that nothing can
  // be said of who is in them (`ip netns exec` starts programs without them).
  Status check_visible() const;
  // Makes the child in every hierarchy and sets its limits; again to change them.
  Status ensure(std::string_view child, const Limits& limits) const;
  // The files through which a process enters the child.
  [[nodiscard]] std::vector<std::filesystem::path> entrances(std::string_view child) const;
  // Processes of the child and below it, over all hierarchies; "" for the whole instance.
  [[nodiscard]] std::vector<pid_t> processes(std::string_view child) const;
  // SIGKILL for the first process of each process namespace in it (which takes all of the namespace
  // at one stroke), then for the rest; returns when none is left.
  Status kill_all(std::string_view child) const;
  // Removes the child and what is below; "" for the instance's directories themselves. What is not
  // there is no error.
  Status remove(std::string_view child) const;

 private:
  std::vector<std::filesystem::path> roots_;
};

// Process 1 of the process namespace nested in ours that these processes are in; 0: none.
pid_t find_leader(const std::vector<pid_t>& processes);

}  // namespace frameworks::hostd
