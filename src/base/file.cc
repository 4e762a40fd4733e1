#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/fd.h"

namespace frameworks {

Result<std::string> read_file(const std::filesystem::path& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(fmt::format("open {}", path.string()));
  std::string content;
  char buffer[65536];
  ssize_t n = 0;
  while ((n = read(fd.get(), buffer, sizeof buffer)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(fmt::format("read {}", path.string()));
    content.append(buffer, static_cast<size_t>(n));
  }
  return content;
}

Status write_file(const std::filesystem::path& path, std::string_view content, unsigned mode) {
  const std::string scratch = path.string() + fmt::format(".{}.new", getpid());
  Fd fd(open(scratch.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd.valid()) return errno_error(fmt::format("create {}", scratch));
  fchmod(fd.get(), mode);
  while (!content.empty()) {
    const ssize_t n = write(fd.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(fmt::format("write {}", scratch));
    content.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(fd.get()) != 0) return errno_error(fmt::format("sync {}", scratch));
  if (rename(scratch.c_str(), path.c_str()) != 0)
    return errno_error(fmt::format("rename {}", path.string()));
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  Fd folder(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) fsync(folder.get());
  return {};
}

Result<TemporaryDirectory> TemporaryDirectory::make(std::string_view prefix) {
  const char* base = std::getenv("TMPDIR");
  std::string path = fmt::format("{}/{}.XXXXXX", base != nullptr ? base : "/tmp", prefix);
  if (mkdtemp(path.data()) == nullptr) return errno_error(fmt::format("create {}", path));
  return TemporaryDirectory(path);
}

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace frameworks
