#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"

extern char** environ;

namespace frameworks {
namespace {

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno_error("pipe");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!added.contains(std::string(text.substr(0, text.find('='))))) out.emplace_back(text);
  }
  for (const auto& [name, value] : added) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

Result<pid_t> spawn(const Command& command, const Pipe& in, const Pipe& out, const Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), 2);
  // A child that outlives this process must not hold its sockets: the port would stay taken.
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  if (!command.directory.empty())
    posix_spawn_file_actions_addchdir_np(&actions, command.directory.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  auto argv_strings = command.argv;
  auto env_strings = merged_environment(command.environment);
  auto argv = pointers(argv_strings);
  auto env = pointers(env_strings);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    errno = failed;
    return errno_error(fmt::format("start {}", command.argv[0]));
  }
  return pid;
}

// Feeds input and collects both outputs until they are closed and the child has ended; kills the
// group on timeout or stop.
class Pump {
 public:
  Pump(const Command& command, pid_t pid, Fd in, Fd out, Fd err,
       const std::function<void(std::string_view)>& line)
      : command_(command),
        pid_(pid),
        in_(std::move(in)),
        out_(std::move(out)),
        err_(std::move(err)),
        line_(line) {
    fcntl(in_.get(), F_SETFL, O_NONBLOCK);
    if (command_.input.empty()) in_.reset();
  }

  // Returns the code of why it was killed, or kUnknown for none.
  Code loop(Output& result) {
    const MonoTime start = system_clock().mono();
    Code why = Code::kUnknown;
    MonoTime term_at{};
    while (out_.valid() || err_.valid() || !has_ended()) {
      const MonoTime now = system_clock().mono();
      if (why == Code::kUnknown && command_.stop.stop_requested()) why = Code::kCancelled;
      if (why == Code::kUnknown && now - start > command_.timeout) why = Code::kDeadlineExceeded;
      if (why != Code::kUnknown && term_at == MonoTime{}) {
        kill(-pid_, why == Code::kCancelled ? SIGTERM : SIGKILL);
        term_at = now;
      } else if (why != Code::kUnknown && now - term_at > std::chrono::seconds(5)) {
        kill(-pid_, SIGKILL);
        if (now - term_at > std::chrono::seconds(6)) break;  // who holds the outputs is not of it
      }
      step(result);
    }
    if (line_ && !rest_.empty()) line_(rest_);
    return why;
  }

 private:
  // The child stays to be waited for.
  [[nodiscard]] bool has_ended() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
  }

  void step(Output& result) {
    if (!out_.valid() && !err_.valid() &&
        !in_.valid()) {  // it closed them: most often it ends at once
      std::this_thread::sleep_for(pause_);
      pause_ = std::min(2 * pause_, kLongestPause);
      return;
    }
    std::array<pollfd, 3> fds{
        {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}, {in_.get(), POLLOUT, 0}}};
    if (poll(fds.data(), fds.size(), 100) <= 0) return;
    if (fds[0].revents != 0) read_some(out_, [&](std::string_view text) { take(text, result); });
    if (fds[1].revents != 0) read_some(err_, [&](std::string_view text) { result.err += text; });
    if (fds[2].revents != 0) write_some();
  }

  template <typename Take>
  static void read_some(Fd& fd, Take take) {
    std::array<char, 16384> buffer;
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n > 0) {
      take(std::string_view(buffer.data(), static_cast<size_t>(n)));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      fd.reset();
    }
  }

  void write_some() {
    const auto left = std::string_view(command_.input).substr(written_);
    const ssize_t n = write(in_.get(), left.data(), left.size());
    if (n > 0) written_ += static_cast<size_t>(n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) in_.reset();
    if (written_ == command_.input.size()) in_.reset();
  }

  void take(std::string_view text, Output& result) {
    if (!line_) {
      result.out += text;
      return;
    }
    rest_ += text;
    size_t begin = 0;
    for (size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1)
      line_(std::string_view(rest_).substr(begin, end - begin));
    rest_.erase(0, begin);
  }

  static constexpr std::chrono::milliseconds kLongestPause{100};

  const Command& command_;
  pid_t pid_;
  Fd in_, out_, err_;
  std::chrono::milliseconds pause_{1};
  const std::function<void(std::string_view)>& line_;
  size_t written_ = 0;
  std::string rest_;
};

std::string last_line(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

}  // namespace

Result<Output> run_lines(const Command& command,
                         const std::function<void(std::string_view)>& line) {
  CHECK(!command.argv.empty());
  // A child that closes its input early must cost this process an EPIPE, not its life.
  static const auto kIgnored = std::signal(SIGPIPE, SIG_IGN);
  (void)kIgnored;
  ASSIGN_OR_RETURN(Pipe in, make_pipe());
  ASSIGN_OR_RETURN(Pipe out, make_pipe());
  ASSIGN_OR_RETURN(Pipe err, make_pipe());
  ASSIGN_OR_RETURN(const pid_t pid, spawn(command, in, out, err));
  in.read.reset();
  out.write.reset();
  err.write.reset();
  Output result;
  Pump pump(command, pid, std::move(in.write), std::move(out.read), std::move(err.read), line);
  const Code why = pump.loop(result);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (why == Code::kCancelled) return Error(why, fmt::format("{}: cancelled", command.argv[0]));
  if (why == Code::kDeadlineExceeded)
    return Error(
        why, fmt::format("{}: took longer than {} ms", command.argv[0], command.timeout.count()));
  return result;
}

Result<Output> run(const Command& command) { return run_lines(command, nullptr); }

Result<std::string> run_checked(const Command& command) {
  ASSIGN_OR_RETURN(Output output, run(command));
  if (output.exit_code == 0) return std::move(output.out);
  return Error(Code::kInternal, fmt::format("{}: exit code {}: {}", fmt::join(command.argv, " "),
                                            output.exit_code, last_line(output.err)));
}

}  // namespace frameworks
