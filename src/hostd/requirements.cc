#include "hostd/requirements.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "hostd/cgroups.h"

namespace frameworks::hostd {
namespace fs = std::filesystem;
namespace {

// Runs `attempt` in a child, so that namespaces and mounts it makes end with it.
Status try_aside(const std::function<Status()>& attempt) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd read_end(fds[0]);
  Fd write_end(fds[1]);
  const pid_t pid = fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    const Status status = attempt();
    if (!status)
      (void)!write(write_end.get(), status.error().message().data(),
                   status.error().message().size());
    _exit(status ? 0 : 1);
  }
  write_end.reset();
  std::string message;
  char buffer[512];
  for (ssize_t n = 0; (n = read(read_end.get(), buffer, sizeof buffer)) > 0;)
    message.append(buffer, static_cast<size_t>(n));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return Error(Code::kFailedPrecondition, message.empty() ? "the attempt crashed" : message);
}

Status new_namespaces() {
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID) != 0)
    return errno_error("unshare");
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return errno_error("private mounts");
  return {};
}

Status try_overlay(const fs::path& scratch) {
  RETURN_IF_ERROR(new_namespaces());
  for (const char* name : {"lower", "upper", "work", "root"}) fs::create_directory(scratch / name);
  const std::string options =
      fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", scratch.string());
  if (mount("overlay", (scratch / "root").c_str(), "overlay", 0, options.c_str()) != 0)
    return errno_error(fmt::format("mount an overlay in {}", scratch.parent_path().string()));
  return {};
}

Status try_tun() {
  RETURN_IF_ERROR(new_namespaces());
  const Fd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return errno_error("open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::strncpy(request.ifr_name, "check", IFNAMSIZ - 1);
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) return errno_error("make a tap");
  return {};
}

Status try_links() {
  RETURN_IF_ERROR(new_namespaces());
  const auto made = run_checked({.argv = {"ip", "-batch", "-"},
                                 .input = "link add br0 type bridge\n"
                                          "link add v0 type veth peer name v1\n"
                                          "link set v0 master br0\n"});
  if (!made) return made.error();
  return {};
}

Status try_cgroups() {
  ASSIGN_OR_RETURN(const auto roots,
                   find_cgroup_roots(fmt::format("frameworks-check-{}", getpid())));
  const Cgroups cgroups(roots);
  const Status made = cgroups.ensure("machine", {.cpus = 1, .memory_mb = 64});
  const Status removed = cgroups.remove("");
  if (!made) return made.error();
  return removed;
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (const std::string& folder :
       split(fmt::format("{}:/usr/sbin:/sbin", path != nullptr ? path : ""), ':')) {
    const fs::path candidate = fs::path(folder) / name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

Status find_programs() {
  const std::pair<const char*, const char*> needed[] = {{"systemd-nspawn", "systemd-container"},
                                                        {"ip", "iproute2"},
                                                        {"nsenter", "util-linux"},
                                                        {"ssh-keygen", "openssh-client"}};
  std::vector<std::string> missing;
  for (const auto& [program, package] : needed)
    if (find_program(program).empty())
      missing.push_back(fmt::format("{} (package {})", program, package));
  if (missing.empty()) return {};
  return Error(Code::kFailedPrecondition, fmt::format("missing: {}", fmt::join(missing, ", ")));
}

// A scratch directory below the nearest parent that exists.
Status try_overlay_near(fs::path place) {
  std::error_code error;
  while (!fs::is_directory(place, error) && place.has_parent_path() && place != place.parent_path())
    place = place.parent_path();
  std::string scratch = (place / ".frameworks-check-XXXXXX").string();
  if (mkdtemp(scratch.data()) == nullptr)
    return errno_error(fmt::format("make a directory in {}", place.string()));
  const Status status = try_aside([&] { return try_overlay(scratch); });
  fs::remove_all(scratch, error);
  return status;
}

}  // namespace

std::vector<Requirement> check_requirements(const fs::path& scratch) {
  std::vector<Requirement> out;
  const auto add = [&](const char* name, const char* found, const Status& status) {
    out.push_back({name, status.has_value(), status ? found : status.error().message()});
  };
  add("root", "runs as root",
      geteuid() == 0 ? Status() : Error(Code::kPermissionDenied, "needs root; run it with sudo"));
  add("programs", "systemd-nspawn, ip, nsenter, ssh-keygen", find_programs());
  add("namespaces", "mount, network, process, host name and IPC namespaces",
      try_aside(new_namespaces));
  add("overlayfs", "an overlay can be mounted where disks are kept", try_overlay_near(scratch));
  add("links", "bridges and veths", try_aside(try_links));
  add("tun", "/dev/net/tun makes TAPs", try_aside(try_tun));
  add("cgroups", "limits can be set on groups of processes", try_cgroups());
  return out;
}

}  // namespace frameworks::hostd
