#include "hostd/disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/process.h"
#include "base/text.h"

namespace frameworks::hostd {
namespace fs = std::filesystem;
namespace {

constexpr const char* kHostKey = "ssh_host_ed25519_key";

Status make_directory(const fs::path& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    return errno_error(fmt::format("make {}", path.string()));
  if (chmod(path.c_str(), mode) != 0)
    return errno_error(fmt::format("set mode of {}", path.string()));
  return {};
}

// Mount points in this process's namespace, as the kernel orders them.
Result<std::vector<fs::path>> mount_points() {
  ASSIGN_OR_RETURN(const std::string text, read_file("/proc/self/mountinfo"));
  std::vector<fs::path> out;
  for (const std::string& line : split(text, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 5) continue;
    std::string path = fields[4];
    // Blanks, tabs, newlines and backslashes are written as three octal digits.
    for (size_t at = 0; (at = path.find('\\', at)) != std::string::npos; ++at)
      path.replace(at, 4, 1, static_cast<char>(std::stoi(path.substr(at + 1, 3), nullptr, 8)));
    out.emplace_back(path);
  }
  return out;
}

Result<bool> is_mounted(const fs::path& path) {
  ASSIGN_OR_RETURN(const auto points, mount_points());
  return std::ranges::count(points, path) > 0;
}

Status ensure_host_key(const fs::path& directory) {
  const fs::path key = directory / kHostKey;
  std::error_code ignored;
  if (fs::exists(key, ignored) && fs::exists(key.string() + ".pub", ignored)) return {};
  fs::remove(key, ignored);
  const auto made = run_checked(
      {.argv = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key.string()}});
  if (!made) return made.error().with_context("make SSH host key");
  return {};
}

std::string authorized_keys(const v1::MachineSpec& spec) {
  std::string out;
  for (const std::string& key : spec.authorized_keys()) out += key + "\n";
  return out;
}

std::string package_sources(const v1::MachineRecord& machine) {
  std::string out;
  std::error_code ignored;
  for (const char* part : {"", "/local"}) {
    if (!machine.repository().empty() &&
        fs::exists(machine.repository() + part + "/Packages", ignored))
      out += fmt::format("deb [trusted=yes] file:{}{} ./\n", kRepositoryInside, part);
  }
  return out;
}

}  // namespace

Result<fs::path> ensure_base(const fs::path& base, const fs::path& state) {
  std::error_code error;
  const fs::path real = fs::canonical(base, error);
  if (error)
    return Error(Code::kFailedPrecondition,
                 fmt::format("base image {}: {}; tools/base-image makes it", base.string(),
                             error.message()));
  if (fs::is_directory(real, error)) {
    if (!fs::exists(real / "usr/lib/systemd/systemd", error))
      return Error(Code::kFailedPrecondition,
                   fmt::format("base image {}: no systemd in it", real.string()));
    return real;
  }
  std::string name = real.filename();
  name = "base-" + name.substr(0, name.find(".tar"));
  const fs::path unpacked = state / name;
  if (fs::exists(unpacked, error)) return unpacked;
  const fs::path scratch = state / (name + ".new");
  fs::remove_all(scratch, error);
  RETURN_IF_ERROR(make_directory(scratch, 0755));
  const auto done = run_checked({.argv = {"tar", "--numeric-owner", "--xattrs", "-I", "zstd", "-C",
                                          scratch.string(), "-xpf", real.string()},
                                 .timeout = std::chrono::minutes(5)});
  if (!done) return done.error().with_context(fmt::format("unpack {}", real.string()));
  fs::rename(scratch, unpacked, error);
  if (error)
    return Error(Code::kInternal, fmt::format("rename {}: {}", scratch.string(), error.message()));
  return unpacked;
}

Status prepare_disk(const fs::path& directory, const v1::MachineRecord& machine) {
  const v1::MachineSpec& spec = machine.spec();
  ASSIGN_OR_RETURN(const Cidr address, Cidr::parse(spec.address()));
  RETURN_IF_ERROR(make_directory(directory / "work", 0700));
  RETURN_IF_ERROR(make_directory(directory / "root", 0755));
  // The mode of the layer's top is the mode of the machine's "/"; likewise below.
  const fs::path upper = directory / "upper";
  for (const char* path : {"", "etc", "etc/ssh", "etc/apt"})
    RETURN_IF_ERROR(make_directory(upper / path, 0755));
  RETURN_IF_ERROR(ensure_host_key(directory));
  ASSIGN_OR_RETURN(const std::string private_key, read_file(directory / kHostKey));
  ASSIGN_OR_RETURN(const std::string public_key,
                   read_file(directory / (std::string(kHostKey) + ".pub")));
  RETURN_IF_ERROR(write_file(upper / "etc/ssh" / kHostKey, private_key, 0600));
  RETURN_IF_ERROR(write_file(upper / "etc/ssh" / (std::string(kHostKey) + ".pub"), public_key));
  RETURN_IF_ERROR(write_file(upper / "etc/hostname", spec.name() + "\n"));
  // Its own name must resolve without a resolver, or services wait for one.
  RETURN_IF_ERROR(write_file(
      upper / "etc/hosts", fmt::format("127.0.0.1 localhost\n::1 localhost ip6-localhost\n{} {}\n",
                                       address.address().text(), spec.name())));
  RETURN_IF_ERROR(write_file(upper / "etc/resolv.conf", ""));
  RETURN_IF_ERROR(write_file(upper / "etc/machine-id", ""));
  RETURN_IF_ERROR(write_file(upper / "etc/apt/sources.list", package_sources(machine)));
  return write_authorized_keys(directory, spec);
}

Status write_authorized_keys(const fs::path& directory, const v1::MachineSpec& spec) {
  // While it is mounted the layer may only be changed through the mount. What is below may be the
  // machine's own making: no link in it leads out of it.
  ASSIGN_OR_RETURN(const bool mounted, is_mounted(directory / "root"));
  const fs::path top = directory / (mounted ? "root" : "upper");
  const Fd root(open(top.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return errno_error(fmt::format("open {}", top.string()));
  const auto open_inside = [&](const char* path, uint64_t flags, uint64_t mode) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return Fd(static_cast<int>(syscall(SYS_openat2, root.get(), path, &how, sizeof how)));
  };
  const auto make_inside = [&](const char* parent, const char* name) {
    const Fd folder = open_inside(parent, O_PATH | O_DIRECTORY, 0);
    return folder.valid() && (mkdirat(folder.get(), name, 0700) == 0 || errno == EEXIST);
  };
  if (!make_inside("/", "root") || !make_inside("/root", ".ssh"))
    return errno_error(fmt::format("make /root/.ssh of {}", spec.name()));
  const Fd file = open_inside("/root/.ssh/authorized_keys", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const std::string keys = authorized_keys(spec);
  if (!file.valid() ||
      write(file.get(), keys.data(), keys.size()) != static_cast<ssize_t>(keys.size()))
    return errno_error(fmt::format("write /root/.ssh/authorized_keys of {}", spec.name()));
  return {};
}

Result<std::string> read_ssh_host_key(const fs::path& directory) {
  ASSIGN_OR_RETURN(const std::string text, read_file(directory / (std::string(kHostKey) + ".pub")));
  return std::string(trim(text));
}

Status mount_disk(const fs::path& directory, const fs::path& base) {
  const fs::path root = directory / "root";
  ASSIGN_OR_RETURN(const bool mounted, is_mounted(root));
  if (mounted) return {};
  for (const fs::path& path : {directory, base}) {
    if (path.string().find_first_of(",:\\") != std::string::npos)
      return Error(Code::kInvalidArgument,
                   fmt::format("{}: an overlay cannot have , : or \\ in its path", path.string()));
  }
  const std::string options =
      fmt::format("lowerdir={},upperdir={},workdir={}", base.string(),
                  (directory / "upper").string(), (directory / "work").string());
  if (mount("overlay", root.c_str(), "overlay", 0, options.c_str()) != 0)
    return errno_error(fmt::format("mount {}", root.string()));
  return {};
}

Status unmount_disk(const fs::path& directory) { return unmount_below(directory / "root"); }

Status unmount_below(const fs::path& directory) {
  ASSIGN_OR_RETURN(auto points, mount_points());
  std::ranges::reverse(points);
  for (const fs::path& point : points) {
    const auto [end, ignored] = std::ranges::mismatch(directory, point);
    if (end != directory.end()) continue;
    if (umount2(point.c_str(), 0) != 0 && umount2(point.c_str(), MNT_DETACH) != 0)
      return errno_error(fmt::format("unmount {}", point.string()));
  }
  return {};
}

}  // namespace frameworks::hostd
