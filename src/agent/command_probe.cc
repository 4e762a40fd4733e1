#include "agent/command_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "base/error.h"

namespace frameworks {
namespace {

// Of what the program prints; the rest is read and thrown away.
constexpr size_t kMaxOutput = 300;

// Bytes that are no text are shown as such: a reason goes into messages that must be UTF-8.
std::string first_line(const std::string& output) {
  std::string out;
  for (const char c : output.substr(0, output.find('\n'))) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

class CommandAttempt final : public ProbeAttempt {
 public:
  CommandAttempt(const pb::InstanceChecks::Probe& probe, MonoTime deadline)
      : probe_(probe), deadline_(deadline) {
    if (probe_.command().empty())
      done_ = {false, "no command is given"};
    else
      spawn();
  }

  ~CommandAttempt() override {
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    // It cannot refuse; whoever cannot die now is left to the agent's end.
    for (int i = 0; i < 100 && waitpid(pid_, nullptr, WNOHANG) == 0; ++i) poll(nullptr, 0, 1);
  }

  [[nodiscard]] pollfd wants() const override {
    if (done_) return {-1, 0, 0};
    if (output_.valid()) return {output_.get(), POLLIN, 0};
    return {pidfd_.get(), POLLIN, 0};
  }

  std::optional<ProbeOutcome> step(MonoTime now) override {
    if (!done_) read_output();
    if (!done_) look_for_end();
    if (!done_ && now >= deadline_)
      done_ = {false, fmt::format("{} did not end in time and was killed", probe_.command(0))};
    return done_;
  }

  [[nodiscard]] MonoTime deadline() const override { return deadline_; }

 private:
  void spawn() {
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
      done_ = {false, errno_error("pipe").message()};
      return;
    }
    output_ = Fd(pipe_ends[0]);
    const Fd writing(pipe_ends[1]);
    std::vector<char*> argv;
    for (const std::string& word : probe_.command())
      argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char language[] = "LC_ALL=C.UTF-8";
    char* environment[] = {path, language, nullptr};

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, writing.get(), 1);
    posix_spawn_file_actions_adddup2(&actions, writing.get(), 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // The agent's threads block signals, and it ignores some: the program shall not.
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int failed = posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(), environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      pid_ = 0;
      done_ = {false, fmt::format("run {}: {}", argv[0], strerror(failed))};
      return;
    }
    pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  }

  void read_output() {
    char buffer[4096];
    while (output_.valid()) {
      const ssize_t n = read(output_.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return output_.reset();
      const size_t room = kMaxOutput - text_.size();
      text_.append(buffer, std::min(room, static_cast<size_t>(n)));
    }
  }

  void look_for_end() {
    siginfo_t info{};
    // Left as it is, so that its number still names its group.
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0)
      return;
    read_output();  // what it wrote since the last look
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
    const std::string said = first_line(text_);
    const std::string& name = probe_.command(0);
    if (info.si_code != CLD_EXITED) {
      done_ = {false, fmt::format("{} was ended by signal {}", name, info.si_status)};
      return;
    }
    const int code = info.si_status;
    const std::string reason =
        fmt::format("{}: exit code {}{}{}", name, code, said.empty() ? "" : ": ", said);
    done_ = {code == 0, reason, code == 1};
  }

  pb::InstanceChecks::Probe probe_;
  MonoTime deadline_;
  pid_t pid_ = 0;
  Fd pidfd_;
  Fd output_;
  std::string text_;
  std::optional<ProbeOutcome> done_;
};

}  // namespace

std::unique_ptr<ProbeAttempt> start_command(const pb::InstanceChecks::Probe& probe,
                                            MonoTime deadline) {
  return std::make_unique<CommandAttempt>(probe, deadline);
}

}  // namespace frameworks
