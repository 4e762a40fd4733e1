#include "hostd/processes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace frameworks::hostd {
namespace {

struct Stat {
  char state = 'X';
  uint64_t start_time = 0;
};

Result<Stat> read_stat(int64_t pid) {
  ASSIGN_OR_RETURN(const std::string text, read_file(fmt::format("/proc/{}/stat", pid)));
  // The command in parentheses may hold anything; what follows the last one is regular.
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return Error(Code::kInternal, "malformed /proc stat");
  const auto fields = split(std::string_view(text).substr(end + 2), ' ');
  constexpr size_t kStartTime = 19;  // field 22, of which the first two are cut off
  if (fields.size() <= kStartTime) return Error(Code::kInternal, "malformed /proc stat");
  Stat stat;
  stat.state = fields[0][0];
  const std::string& start = fields[kStartTime];
  std::from_chars(start.data(), start.data() + start.size(), stat.start_time);
  return stat;
}

const std::string& boot_id() {
  static const std::string id = [] {
    auto text = read_file("/proc/sys/kernel/random/boot_id");
    return text ? std::string(trim(*text)) : std::string("unknown");
  }();
  return id;
}

Result<Fd> open_process(const v1::ProcessIdentity& process) {
  Fd fd(static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid()), 0)));
  if (!fd.valid()) return errno_error(fmt::format("open process {}", process.pid()));
  // Looked at after it is held: the number cannot be given away any more.
  if (!is_alive(process)) return Error(Code::kNotFound, "process has ended");
  return fd;
}

}  // namespace

Result<v1::ProcessIdentity> identify(pid_t pid) {
  ASSIGN_OR_RETURN(const Stat stat, read_stat(pid));
  v1::ProcessIdentity out;
  out.set_pid(pid);
  out.set_start_time(stat.start_time);
  out.set_boot_id(boot_id());
  return out;
}

Result<v1::ProcessIdentity> identify_self() { return identify(getpid()); }

bool is_alive(const v1::ProcessIdentity& process) {
  if (process.pid() <= 0 || process.boot_id() != boot_id()) return false;
  const auto stat = read_stat(process.pid());
  return stat && stat->start_time == process.start_time() && stat->state != 'Z' &&
         stat->state != 'X';
}

Status send_signal(const v1::ProcessIdentity& process, int signal) {
  const auto fd = open_process(process);
  if (!fd) return {};
  if (syscall(SYS_pidfd_send_signal, fd->get(), signal, nullptr, 0) != 0 && errno != ESRCH)
    return errno_error(fmt::format("signal process {}", process.pid()));
  return {};
}

Status end_process(const v1::ProcessIdentity& process, std::chrono::milliseconds patience) {
  const auto fd = open_process(process);
  if (!fd) return {};
  for (const int signal : {SIGTERM, SIGKILL}) {
    if (syscall(SYS_pidfd_send_signal, fd->get(), signal, nullptr, 0) != 0 && errno != ESRCH)
      return errno_error(fmt::format("signal process {}", process.pid()));
    pollfd ended{fd->get(), POLLIN, 0};
    const auto wait = signal == SIGTERM ? patience : std::chrono::milliseconds(5000);
    if (poll(&ended, 1, static_cast<int>(wait.count())) > 0) return {};
  }
  return Error(Code::kDeadlineExceeded, fmt::format("process {} does not end", process.pid()));
}

int enter_cgroups(const std::vector<const char*>& files) noexcept {
  for (const char* file : files) {
    const int fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    const bool written = write(fd, "0", 1) == 1;
    const int failed = errno;
    close(fd);
    if (!written) return failed;
  }
  return 0;
}

Result<v1::ProcessIdentity> spawn_detached(const Detached& what) {
  const std::string program = what.argv.at(0) == "self" ? "/proc/self/exe" : what.argv[0];
  std::vector<std::string> argv_strings = what.argv;
  if (what.argv[0] == "self") argv_strings[0] = "frameworks-hostd";
  std::vector<char*> argv;
  for (std::string& text : argv_strings) argv.push_back(text.data());
  argv.push_back(nullptr);
  std::vector<const char*> cgroups;
  for (const auto& path : what.cgroups) cgroups.push_back(path.c_str());

  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const Fd log(open(what.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!null.valid() || !log.valid()) return errno_error(fmt::format("open {}", what.log.string()));
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd read_end(fds[0]);
  Fd write_end(fds[1]);

  struct Report {
    pid_t pid;
    int failed;
  };
  const pid_t middle = fork();
  if (middle < 0) return errno_error("fork");
  if (middle == 0) {
    // Twice, so that the process belongs to init and not to us. Only async-signal-safe calls here.
    setsid();
    const pid_t inner = fork();
    if (inner != 0) _exit(inner < 0 ? 1 : 0);
    Report report{getpid(), enter_cgroups(cgroups)};
    if (report.failed == 0) {
      dup2(null.get(), 0);
      dup2(log.get(), 1);
      dup2(log.get(), 2);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      signal(SIGPIPE, SIG_DFL);
      (void)!write(write_end.get(), &report, sizeof report);
      syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
      execv(program.c_str(), argv.data());
      report.failed = errno;
    }
    (void)!write(write_end.get(), &report, sizeof report);
    _exit(127);
  }
  write_end.reset();
  int status = 0;
  while (waitpid(middle, &status, 0) < 0 && errno == EINTR) continue;
  Report report{0, 0};
  Report last{0, EAGAIN};
  // The pipe closes when exec succeeds; a second report says why it did not.
  for (ssize_t n = 0; (n = read(read_end.get(), &report, sizeof report)) != 0;) {
    if (n == static_cast<ssize_t>(sizeof report)) last = report;
    if (n < 0 && errno != EINTR) break;
  }
  if (last.failed != 0) {
    errno = last.failed;
    return errno_error(fmt::format("start {}", argv_strings[0]));
  }
  return identify(last.pid);
}

}  // namespace frameworks::hostd
