#include "hostd/cgroups.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <fstream>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "hostd/processes.h"

namespace frameworks::hostd {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMaxProcesses = 4096;

// cgroup files are written in place; a temporary beside them cannot be made.
Status write_control(const fs::path& path, std::string_view value) {
  std::ofstream file(path);
  file << value;
  file.flush();
  if (!file) return errno_error(fmt::format("write \"{}\" to {}", value, path.string()));
  return {};
}

Status write_if_there(const fs::path& path, std::string_view value) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  return write_control(path, value);
}

// On v2, controllers work in a directory only when its parent hands them down.
Status hand_down_controllers(const fs::path& directory) {
  const auto available = read_file(directory / "cgroup.controllers");
  if (!available) return {};  // v1
  for (const std::string& controller : split(trim(*available), ' ')) {
    if (controller == "cpu" || controller == "memory" || controller == "pids")
      RETURN_IF_ERROR(write_control(directory / "cgroup.subtree_control", "+" + controller));
  }
  return {};
}

Status set_limits(const fs::path& directory, const Limits& limits) {
  constexpr int64_t kPeriodUs = 100'000;
  const int64_t quota_us =
      std::max<int64_t>(1000, static_cast<int64_t>(limits.cpus * static_cast<double>(kPeriodUs)));
  const bool cpu = limits.cpus > 0;
  const bool memory = limits.memory_mb > 0;
  const int64_t bytes = limits.memory_mb * 1024 * 1024;
  RETURN_IF_ERROR(write_if_there(directory / "cpu.max",
                                 cpu ? fmt::format("{} {}", quota_us, kPeriodUs) : "max"));
  RETURN_IF_ERROR(
      write_if_there(directory / "cpu.cfs_quota_us", cpu ? fmt::to_string(quota_us) : "-1"));
  RETURN_IF_ERROR(write_if_there(directory / "memory.max", memory ? fmt::to_string(bytes) : "max"));
  RETURN_IF_ERROR(
      write_if_there(directory / "memory.limit_in_bytes", memory ? fmt::to_string(bytes) : "-1"));
  return write_if_there(directory / "pids.max", fmt::to_string(kMaxProcesses));
}

// The directory and all below it, deepest first.
std::vector<fs::path> tree(const fs::path& root) {
  std::vector<fs::path> out;
  std::error_code error;
  if (!fs::is_directory(root, error)) return out;
  out.push_back(root);
  for (auto it = fs::recursive_directory_iterator(root, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error))
    if (it->is_directory(error)) out.push_back(it->path());
  std::ranges::sort(out, std::greater<>());
  return out;
}

struct Mount {
  std::string point;
  std::string type;
  std::vector<std::string> options;
};

std::vector<Mount> cgroup_mounts(std::string_view mountinfo) {
  std::vector<Mount> out;
  for (const std::string& line : split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3 || !after[0].starts_with("cgroup")) continue;
    out.push_back({before[4], after[0], split(after[2], ',')});
  }
  return out;
}

// Controllers (as in the file: "memory", "cpu,cpuacct", "name=systemd", "" for v2) → own path.
std::map<std::string, std::string> own_paths(std::string_view own_cgroups) {
  std::map<std::string, std::string> out;
  for (const std::string& line : split(own_cgroups, '\n')) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    for (const std::string& controller : split(line.substr(first + 1, second - first - 1), ','))
      out[controller] = line.substr(second + 1);
    if (second == first + 1) out[""] = line.substr(second + 1);
  }
  return out;
}

}  // namespace

std::vector<fs::path> plan_cgroup_roots(std::string_view mountinfo, std::string_view own_cgroups,
                                        std::string_view instance) {
  const auto mounts = cgroup_mounts(mountinfo);
  const auto own = own_paths(own_cgroups);
  const auto below = [&](const Mount& mount, const std::string& controller) {
    const auto found = own.find(controller);
    fs::path path = mount.point;
    if (found != own.end()) path += found->second;
    return (path / instance).lexically_normal();
  };
  const bool has_v1 =
      std::ranges::any_of(mounts, [](const Mount& m) { return m.type == "cgroup"; });
  std::vector<fs::path> out;
  for (const Mount& mount : mounts) {
    if (mount.type == "cgroup2") {
      out.push_back(has_v1 ? below(mount, "") : fs::path(mount.point) / instance);
      continue;
    }
    for (const char* controller : {"name=systemd", "memory", "cpu", "pids"}) {
      if (std::ranges::count(mount.options, controller) == 0) continue;
      out.push_back(below(mount, controller));
      break;
    }
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<std::vector<fs::path>> find_cgroup_roots(std::string_view instance) {
  ASSIGN_OR_RETURN(const std::string mountinfo, read_file("/proc/self/mountinfo"));
  ASSIGN_OR_RETURN(const std::string own, read_file("/proc/self/cgroup"));
  auto roots = plan_cgroup_roots(mountinfo, own, instance);
  if (roots.empty()) return Error(Code::kFailedPrecondition, "no cgroup hierarchy is mounted");
  return roots;
}

Status Cgroups::check_visible() const {
  for (const fs::path& root : roots_) {
    // The directories themselves may be gone, after a start of the host.
    fs::path there = root;
    std::error_code error;
    while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
    struct statfs type {};
    if (statfs(there.c_str(), &type) != 0)
      return errno_error(fmt::format("look at {}", there.string()));
    if (type.f_type != CGROUP_SUPER_MAGIC && type.f_type != CGROUP2_SUPER_MAGIC)
      return Error(Code::kFailedPrecondition,
                   fmt::format("cgroup {} cannot be seen from here: no cgroup hierarchy is mounted "
                               "there; try again from outside of `ip netns exec`",
                               root.string()));
  }
  return {};
}

Status Cgroups::ensure(std::string_view child, const Limits& limits) const {
  for (const fs::path& root : roots_) {
    std::error_code error;
    fs::create_directories(root / child, error);
    if (error)
      return Error(Code::kInternal,
                   fmt::format("make cgroup {}: {}", (root / child).string(), error.message()));
    RETURN_IF_ERROR(hand_down_controllers(root.parent_path()));
    RETURN_IF_ERROR(hand_down_controllers(root));
    RETURN_IF_ERROR(set_limits(root / child, limits));
  }
  return {};
}

std::vector<fs::path> Cgroups::entrances(std::string_view child) const {
  std::vector<fs::path> out;
  for (const fs::path& root : roots_) out.push_back(root / child / "cgroup.procs");
  return out;
}

std::vector<pid_t> Cgroups::processes(std::string_view child) const {
  std::set<pid_t> out;
  for (const fs::path& root : roots_) {
    for (const fs::path& directory : tree(root / child)) {
      const auto text = read_file(directory / "cgroup.procs");
      if (!text) continue;
      for (const std::string& line : split(*text, '\n')) {
        pid_t pid = 0;
        std::from_chars(line.data(), line.data() + line.size(), pid);
        if (pid > 0) out.insert(pid);
      }
    }
  }
  return {out.begin(), out.end()};
}

Status Cgroups::kill_all(std::string_view child) const {
  const MonoTime deadline = system_clock().mono() + std::chrono::seconds(10);
  while (true) {
    std::vector<pid_t> all = processes(child);
    if (all.empty()) return {};
    std::vector<v1::ProcessIdentity> victims;
    for (const pid_t pid : all)
      if (auto identity = identify(pid)) victims.push_back(*identity);
    // Whoever is still in the cgroup is meant; a number that has been given away since is not.
    all = processes(child);
    std::stable_partition(victims.begin(), victims.end(), [](const v1::ProcessIdentity& victim) {
      return find_leader({static_cast<pid_t>(victim.pid())}) != 0;
    });
    for (const v1::ProcessIdentity& victim : victims)
      if (std::ranges::binary_search(all, static_cast<pid_t>(victim.pid())))
        RETURN_IF_ERROR(send_signal(victim, SIGKILL));
    if (system_clock().mono() > deadline)
      return Error(Code::kDeadlineExceeded,
                   fmt::format("{} processes of cgroup \"{}\" do not end", all.size(), child));
    system_clock().sleep_for(std::chrono::milliseconds(2), {});
  }
}

Status Cgroups::remove(std::string_view child) const {
  for (const fs::path& root : roots_) {
    for (const fs::path& directory : tree(root / child)) {
      // A killed process leaves its cgroup a moment after it has gone from the list.
      const MonoTime deadline = system_clock().mono() + std::chrono::seconds(5);
      while (rmdir(directory.c_str()) != 0 && errno != ENOENT) {
        if (errno != EBUSY || system_clock().mono() > deadline)
          return errno_error(fmt::format("remove cgroup {}", directory.string()));
        system_clock().sleep_for(std::chrono::milliseconds(5), {});
      }
    }
  }
  return {};
}

pid_t find_leader(const std::vector<pid_t>& processes) {
  for (const pid_t pid : processes) {
    const auto status = read_file(fmt::format("/proc/{}/status", pid));
    if (!status) continue;
    const size_t at = status->find("\nNSpid:");
    if (at == std::string::npos) continue;
    const size_t end = status->find('\n', at + 1);
    // One number per nesting, ours first.
    const auto numbers = split(trim(status->substr(at + 7, end - at - 7)), '\t');
    if (numbers.size() == 2 && numbers[1] == "1") return pid;
  }
  return 0;
}

}  // namespace frameworks::hostd
