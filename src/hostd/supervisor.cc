#include "hostd/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "hostd/cgroups.h"
#include "hostd/disk.h"
#include "hostd/names.h"
#include "hostd/network.h"
#include "hostd/processes.h"
#include "hostd/state.h"

namespace frameworks::hostd {
namespace {

// What systemd-nspawn exits with.
constexpr int kPoweredOff = 0;
constexpr int kRebootRequested = 133;

std::vector<std::string> nspawn_command(const std::filesystem::path& directory,
                                        const std::string& instance,
                                        const v1::MachineRecord& machine) {
  const std::string& name = machine.spec().name();
  std::vector<std::string> argv{
      "systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
      "--directory=" + (directory / "root").string(), "--machine=" + name,
      "--network-namespace-path=" + namespace_path(machine_namespace(instance, name)).string(),
      "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
      // Packet filters, interfaces and routes of its own network namespace.
      "--capability=CAP_NET_ADMIN", "--bind=/dev/net/tun"};
  if (!machine.repository().empty())
    argv.push_back(fmt::format("--bind-ro={}:{}", machine.repository(), kRepositoryInside));
  argv.emplace_back("--boot");
  return argv;
}

class Supervisor {
 public:
  Supervisor(StateDirectory state, v1::HostRecord host, v1::MachineRecord machine,
             v1::SupervisorRecord report)
      : state_(std::move(state)),
        host_(std::move(host)),
        machine_(std::move(machine)),
        report_(std::move(report)),
        cgroups_({host_.cgroups().begin(), host_.cgroups().end()}) {}

  Status run() {
    auto pause = kShortestPause;
    while (true) {
      const MonoTime started = system_clock().mono();
      auto exit_code = boot();
      if (!exit_code) {
        (void)report(v1::SupervisorRecord::PHASE_FAILED, exit_code.error().message());
        return exit_code.error();
      }
      if (*exit_code == kPoweredOff) return power_off();
      if (*exit_code == kRebootRequested) continue;
      if (system_clock().mono() - started > kStable) pause = kShortestPause;
      RETURN_IF_ERROR(report(v1::SupervisorRecord::PHASE_FAILED,
                             fmt::format("ended with exit code {}: {}", *exit_code, last_line())));
      system_clock().sleep_for(pause, {});
      pause = std::min(pause * 2, kLongestPause);
    }
  }

 private:
  static constexpr Duration kShortestPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(30);
  static constexpr Duration kStable = std::chrono::minutes(1);

  const std::string& name() const { return machine_.spec().name(); }
  std::filesystem::path directory() const { return state_.machine(name()); }
  std::filesystem::path console() const { return directory() / "console.log"; }

  Status report(v1::SupervisorRecord::Phase phase, std::string message) {
    report_.set_phase(phase);
    report_.set_message(std::move(message));
    return state_.write_supervisor(name(), report_);
  }

  // One life of the container. Everything it had at run time is new each time, as on hardware:
  // interfaces, packet filters, processes; only the disk stays.
  Result<int> boot() {
    ASSIGN_OR_RETURN(machine_,
                     state_.read_machine(machine_.spec().name()));  // limits may have changed
    report_.set_boots(report_.boots() + 1);
    RETURN_IF_ERROR(report(v1::SupervisorRecord::PHASE_STARTING, ""));
    const std::string group = machine_cgroup(name());
    RETURN_IF_ERROR(cgroups_.kill_all(group));
    RETURN_IF_ERROR(cgroups_.remove(group));
    RETURN_IF_ERROR(renew_machine_network(host_.name(), machine_.spec()));
    RETURN_IF_ERROR(mount_disk(directory(), machine_.base()));
    RETURN_IF_ERROR(cgroups_.ensure(group, {machine_.spec().cpus(), machine_.spec().memory_mb()}));
    ASSIGN_OR_RETURN(const pid_t pid, start());
    RETURN_IF_ERROR(report(v1::SupervisorRecord::PHASE_RUNNING, ""));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  Result<pid_t> start() {
    auto arguments = nspawn_command(directory(), host_.name(), machine_);
    std::vector<char*> argv;
    for (std::string& text : arguments) argv.push_back(text.data());
    argv.push_back(nullptr);
    const auto entrances = cgroups_.entrances(machine_cgroup(name()));
    std::vector<const char*> groups;
    for (const auto& path : entrances) groups.push_back(path.c_str());
    const int log =
        open(console().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return errno_error("open console log");
    const pid_t self = getpid();
    const pid_t pid = fork();
    if (pid < 0) return errno_error("fork");
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != self) _exit(1);
      setsid();
      dup2(log, 1);
      dup2(log, 2);
      if (const int failed = enter_cgroups(groups); failed != 0) {
        dprintf(2, "cannot enter cgroups: %s\n", strerror(failed));
        _exit(1);
      }
      execvp(argv[0], argv.data());
      dprintf(2, "cannot start %s: %s\n", argv[0], strerror(errno));
      _exit(1);
    }
    close(log);
    return pid;
  }

  Status power_off() {
    RETURN_IF_ERROR(cgroups_.kill_all(machine_cgroup(name())));
    RETURN_IF_ERROR(remove_machine_network(host_.name(), name()));
    RETURN_IF_ERROR(unmount_disk(directory()));
    RETURN_IF_ERROR(cgroups_.remove(machine_cgroup(name())));
    return report(v1::SupervisorRecord::PHASE_POWERED_OFF, "powered off from inside");
  }

  std::string last_line() const {
    const auto text = read_file(console());
    if (!text) return "";
    const std::string_view all = trim(*text);
    return std::string(all.substr(all.rfind('\n') + 1));
  }

  StateDirectory state_;
  v1::HostRecord host_;
  v1::MachineRecord machine_;
  v1::SupervisorRecord report_;
  Cgroups cgroups_;
};

}  // namespace

std::string machine_cgroup(const std::string& machine) { return "m." + machine; }
std::string supervisor_cgroup(const std::string& machine) { return "s." + machine; }

Status supervise(const std::filesystem::path& path, const std::string& machine) {
  StateDirectory state(path);
  // One supervisor a machine, whatever happens to the daemon that starts them.
  ASSIGN_OR_RETURN(const Fd lock,
                   take_lock(state.machine(machine) / "lock", std::chrono::seconds(5)));
  ASSIGN_OR_RETURN(auto host, state.read_host());
  ASSIGN_OR_RETURN(auto record, state.read_machine(machine));
  if (record.power() != v1::MACHINE_POWER_ON)
    return Error(Code::kFailedPrecondition, fmt::format("machine \"{}\" is off", machine));
  v1::SupervisorRecord report = state.read_supervisor(machine);
  ASSIGN_OR_RETURN(*report.mutable_process(), identify_self());
  return Supervisor(std::move(state), std::move(host), std::move(record), std::move(report)).run();
}

}  // namespace frameworks::hostd
