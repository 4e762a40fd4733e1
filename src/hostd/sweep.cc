#include "hostd/sweep.h"

#include <fmt/format.h>

#include <algorithm>

#include "hostd/cgroups.h"
#include "hostd/disk.h"
#include "hostd/names.h"
#include "hostd/network.h"
#include "hostd/processes.h"
#include "hostd/state.h"

namespace frameworks::hostd {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::seconds kPatience{10};

// The machines' namespaces, then the fabric: "<name>.*" and "<name>".
std::vector<std::string> namespaces_of(const std::string& instance) {
  std::vector<std::string> out;
  const std::string prefix = machine_namespace(instance, "");
  std::error_code error;
  for (auto it = fs::directory_iterator("/run/netns", error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.starts_with(prefix)) out.push_back(name);
  }
  if (fs::exists(namespace_path(fabric_namespace(instance)), error))
    out.push_back(fabric_namespace(instance));
  return out;
}

// Recorded ones, and where they would be if the record is lost.
std::vector<fs::path> cgroups_of(const std::string& instance, const v1::HostRecord& host) {
  std::vector<fs::path> out(host.cgroups().begin(), host.cgroups().end());
  if (out.empty())
    if (auto found = find_cgroup_roots(instance)) out = *found;
  return out;
}

Status remove_state(const fs::path& state) {
  std::error_code error;
  RETURN_IF_ERROR(unmount_below(state / "machines"));
  fs::remove_all(state / "machines", error);
  if (error)
    return Error(Code::kInternal,
                 fmt::format("remove {}: {}", (state / "machines").string(), error.message()));
  // Only what is ours by name: somebody may have chosen a directory that holds more.
  for (const char* name : {"host.json", "wan.sock", "wan.log", "hostd.sock", "hostd.log", "lock"})
    fs::remove(state / name, error);
  std::vector<fs::path> bases;
  for (auto it = fs::directory_iterator(state, error); !error && it != fs::directory_iterator();
       it.increment(error))
    if (it->path().filename().string().starts_with("base-")) bases.push_back(it->path());
  for (const fs::path& base : bases) fs::remove_all(base, error);
  fs::remove(state, error);  // only when empty
  return {};
}

}  // namespace

Status sweep(const std::string& instance, const fs::path& path,
             const std::function<void(const std::string&)>& say) {
  const StateDirectory state(path);
  v1::HostRecord host;
  bool recorded = false;
  if (auto read = state.read_host()) {
    host = *read;
    recorded = true;
  }
  if (recorded && host.name() != instance)
    return Error(Code::kFailedPrecondition,
                 fmt::format("{}: belongs to instance \"{}\", not \"{}\"", path.string(),
                             host.name(), instance));
  const auto namespaces = namespaces_of(instance);
  // Bridges say whose they are; without a record that is all there is to go by.
  if (!recorded && std::ranges::count(namespaces, fabric_namespace(instance)) > 0 &&
      !is_own_fabric(instance, path.string()))
    return Error(
        Code::kFailedPrecondition,
        fmt::format("network namespace \"{}\" is not of {}; give the --state it was made with",
                    instance, path.string()));

  const Cgroups cgroups(cgroups_of(instance, host));
  RETURN_IF_ERROR(cgroups.check_visible());
  if (is_alive(host.daemon())) {
    say(fmt::format("stopping the daemon (process {})", host.daemon().pid()));
    RETURN_IF_ERROR(end_process(host.daemon(), kPatience));
  }
  Fd lock;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    // From here on no daemon can start over what is being removed.
    ASSIGN_OR_RETURN(lock, take_lock(path / "lock", kPatience));
  }
  if (const auto processes = cgroups.processes(""); !processes.empty()) {
    say(fmt::format("ending {} processes of {} machines and the wan emulator", processes.size(),
                    state.list_machines().size()));
    RETURN_IF_ERROR(cgroups.kill_all(""));
  }
  for (const std::string& name : namespaces) {
    say(fmt::format("removing network namespace {}", name));
    RETURN_IF_ERROR(remove_network_namespace(name));
  }
  RETURN_IF_ERROR(cgroups.remove(""));
  if (fs::is_directory(path, error)) {
    say(fmt::format("removing {}", path.string()));
    RETURN_IF_ERROR(remove_state(path));
  }
  return {};
}

}  // namespace frameworks::hostd
