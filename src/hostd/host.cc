#include "hostd/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "base/ip.h"
#include "base/log.h"
#include "hostd/disk.h"
#include "hostd/names.h"
#include "hostd/namespaces.h"
#include "hostd/network.h"
#include "hostd/processes.h"
#include "hostd/supervisor.h"
#include "hostd/wan_process.h"
#include "machine/provisioning/machine_rules.h"

namespace frameworks::hostd {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWanCgroup = "wan";
constexpr Duration kWatchPeriod = std::chrono::milliseconds(200);
constexpr Duration kPollPeriod = std::chrono::milliseconds(10);

bool is_same(const v1::ProcessIdentity& a, const v1::ProcessIdentity& b) {
  return a.pid() == b.pid() && a.start_time() == b.start_time() && a.boot_id() == b.boot_id();
}

Error missing(const std::string& name) {
  return {Code::kNotFound, fmt::format("machine \"{}\": there is none", name)};
}

}  // namespace

Host::Host(HostOptions options) : options_(std::move(options)), state_(options_.state) {}
Host::~Host() { stop(); }

Status Host::start() {
  std::error_code error;
  fs::create_directories(state_.machines(), error);
  if (error)
    return Error(Code::kInternal,
                 fmt::format("make {}: {}", state_.machines().string(), error.message()));
  fs::permissions(state_.path(), fs::perms::owner_all, error);
  ASSIGN_OR_RETURN(lock_, take_lock(state_.path() / "lock", std::chrono::seconds(5)));
  ASSIGN_OR_RETURN(const v1::ProcessIdentity self, identify_self());

  v1::HostRecord host;
  if (auto read = state_.read_host()) {
    host = std::move(*read);
  } else if (read.error().code() != Code::kNotFound) {
    return read.error();
  }
  if (!host.name().empty() && host.name() != options_.name)
    return Error(Code::kFailedPrecondition, fmt::format("{}: belongs to instance \"{}\"",
                                                        state_.path().string(), host.name()));
  host.set_name(options_.name);
  if (host.cgroups().empty() || host.daemon().boot_id() != self.boot_id()) {
    ASSIGN_OR_RETURN(const auto roots, find_cgroup_roots(options_.name));
    host.clear_cgroups();
    for (const fs::path& root : roots) host.add_cgroups(root.string());
  }
  *host.mutable_daemon() = self;
  cgroups_ = std::make_unique<Cgroups>(
      std::vector<fs::path>(host.cgroups().begin(), host.cgroups().end()));
  RETURN_IF_ERROR(state_.write_host(host));
  host_.with([&](v1::HostRecord& mine) { mine = host; });

  RETURN_IF_ERROR(raise_host_limits());
  RETURN_IF_ERROR(load_machines());
  if (!host.fabric().links().empty()) {
    const std::lock_guard busy(fabric_busy_);
    RETURN_IF_ERROR(bring_up_fabric(host));
  }
  watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  return {};
}

void Host::stop() {
  watcher_.request_stop();
  if (watcher_.joinable()) watcher_.join();
}

Status Host::load_machines() {
  for (const std::string& name : state_.list_machines()) {
    auto state = state_.read_machine(name);
    if (!state && state.error().code() == Code::kNotFound) {
      // Half removed, or never recorded: what is left is only a directory.
      RETURN_IF_ERROR(pull_plug(name));
      std::error_code ignored;
      fs::remove_all(state_.machine(name), ignored);
      continue;
    }
    if (!state) return state.error();
    auto machine = std::make_shared<Machine>();
    machine->state.with([&](v1::MachineRecord& mine) { mine = *state; });
    machines_.with([&](auto& machines) { machines.emplace(name, machine); });
  }
  return {};
}

// ---- fabric

Result<v1::EnsureFabricResponse> Host::ensure_fabric(const v1::EnsureFabricRequest& request) {
  RETURN_IF_ERROR(provisioning::check_fabric(request));
  const std::lock_guard busy(fabric_busy_);
  RETURN_IF_ERROR(provisioning::check_fabric_change(
      request, machines_.with([](const auto& machines) { return specs_of(machines); })));
  v1::HostRecord host = host_.with([](const v1::HostRecord& mine) { return mine; });
  *host.mutable_fabric() = request;
  RETURN_IF_ERROR(bring_up_fabric(host));
  v1::EnsureFabricResponse response;
  response.set_network_namespace(namespace_path(fabric_namespace(options_.name)));
  return response;
}

Status Host::bring_up_fabric(const v1::HostRecord& wanted) {
  const auto path = namespace_path(fabric_namespace(options_.name));
  std::error_code ignored;
  const bool exists = fs::exists(path, ignored);
  if (exists && !is_own_fabric(options_.name, state_.path().string()))
    return Error(
        Code::kFailedPrecondition,
        fmt::format("network namespace \"{}\" exists and is not of {}; choose another --name",
                    options_.name, state_.path().string()));
  // An emulator without its namespace holds on to TAPs that nobody sees any more.
  if (!exists) RETURN_IF_ERROR(end_process(wanted.wan(), std::chrono::seconds(1)));
  RETURN_IF_ERROR(state_.write_host(wanted));
  host_.with([&](v1::HostRecord& mine) { mine = wanted; });
  RETURN_IF_ERROR(hostd::ensure_fabric(options_.name, wanted.fabric(), state_.path().string()));
  return ensure_wan();
}

Status Host::ensure_wan() {
  v1::HostRecord host = host_.with([](const v1::HostRecord& mine) { return mine; });
  if (is_alive(host.wan())) return reload_wan(state_.wan_socket());
  RETURN_IF_ERROR(cgroups_->kill_all(kWanCgroup));
  RETURN_IF_ERROR(cgroups_->ensure(kWanCgroup, {}));
  ASSIGN_OR_RETURN(*host.mutable_wan(),
                   spawn_detached({.argv = {"self", "wan", "--state", state_.path().string()},
                                   .log = state_.path() / "wan.log",
                                   .cgroups = cgroups_->entrances(kWanCgroup)}));
  host_.with([&](v1::HostRecord& mine) { *mine.mutable_wan() = host.wan(); });
  RETURN_IF_ERROR(state_.write_host(host));
  const MonoTime deadline = system_clock().mono() + std::chrono::seconds(5);
  while (true) {
    const Status reloaded = reload_wan(state_.wan_socket());
    if (reloaded) return {};
    if (!is_alive(host.wan()) || system_clock().mono() > deadline)
      return Error(Code::kInternal,
                   fmt::format("wan emulator does not start ({}); see {}",
                               reloaded.error().message(), (state_.path() / "wan.log").string()));
    system_clock().sleep_for(kPollPeriod, {});
  }
}

// ---- machines

Host::MachinePointer Host::find(const std::string& name) {
  return machines_.with([&](const auto& machines) {
    const auto found = machines.find(name);
    return found == machines.end() ? nullptr : found->second;
  });
}

std::vector<v1::MachineSpec> Host::specs_of(const MachineMap& machines) {
  std::vector<v1::MachineSpec> out;
  for (const auto& [name, machine] : machines)
    out.push_back(machine->state.with([](const v1::MachineRecord& state) { return state.spec(); }));
  return out;
}

Result<Host::MachinePointer> Host::find_or_record(const v1::MachineSpec& spec, bool& created) {
  created = false;
  if (auto machine = find(spec.name())) return machine;
  ASSIGN_OR_RETURN(const fs::path base, ensure_base(options_.base, state_.path()));
  std::error_code ignored;
  const fs::path repository = fs::canonical(options_.repository, ignored);

  v1::MachineRecord state;
  *state.mutable_spec() = spec;
  state.set_power(v1::MACHINE_POWER_ON);
  state.set_base(base);
  state.set_repository(repository);
  auto machine = std::make_shared<Machine>();
  machine->state.with([&](v1::MachineRecord& mine) { mine = state; });
  // Taken in before it is on disk, so that of two callers only one makes it.
  const std::unique_lock busy(machine->busy);
  const v1::EnsureFabricRequest fabric =
      host_.with([](const v1::HostRecord& mine) { return mine.fabric(); });
  const auto taken = machines_.with([&](MachineMap& machines) -> Result<MachinePointer> {
    const auto found = machines.find(spec.name());
    if (found != machines.end()) return found->second;
    RETURN_IF_ERROR(provisioning::check_place(fabric, specs_of(machines), spec));
    machines.emplace(spec.name(), machine);
    return machine;
  });
  if (!taken) return taken.error();
  if (*taken != machine) return *taken;
  fs::create_directories(state_.machine(spec.name()), ignored);
  if (const Status written = write_state(*machine, state); !written) {
    machine->removed = true;
    machines_.with([&](auto& machines) { machines.erase(spec.name()); });
    return written.error();
  }
  created = true;
  return machine;
}

Status Host::write_state(Machine& machine, const v1::MachineRecord& state) {
  RETURN_IF_ERROR(state_.write_machine(state));
  machine.state.with([&](v1::MachineRecord& mine) { mine = state; });
  return {};
}

Status Host::adjust(Machine& machine, const v1::MachineSpec& spec) {
  v1::MachineRecord state = machine.state.with([](const v1::MachineRecord& mine) { return mine; });
  const v1::MachineSpec old = state.spec();
  RETURN_IF_ERROR(provisioning::check_unmoved(old, spec));
  const bool same_keys = std::ranges::equal(old.authorized_keys(), spec.authorized_keys());
  const bool same_limits = old.cpus() == spec.cpus() && old.memory_mb() == spec.memory_mb();
  if (same_keys && same_limits && state.power() == v1::MACHINE_POWER_ON) return {};
  *state.mutable_spec() = spec;
  state.set_power(v1::MACHINE_POWER_ON);
  RETURN_IF_ERROR(write_state(machine, state));
  if (!same_keys && state.prepared())
    RETURN_IF_ERROR(write_authorized_keys(state_.machine(spec.name()), spec));
  if (!same_limits && is_supervised(spec.name(), machine))
    RETURN_IF_ERROR(cgroups_->ensure(machine_cgroup(spec.name()), {spec.cpus(), spec.memory_mb()}));
  return {};
}

Result<v1::EnsureMachineResponse> Host::ensure_machine(const v1::MachineSpec& spec,
                                                       const Patience& patience) {
  RETURN_IF_ERROR(provisioning::check_machine(spec));
  bool created = false;
  MachinePointer machine;
  while (true) {
    ASSIGN_OR_RETURN(machine, find_or_record(spec, created));
    const std::lock_guard busy(machine->busy);
    if (machine->removed) continue;
    RETURN_IF_ERROR(adjust(*machine, spec));
    RETURN_IF_ERROR(ensure_on(*machine));
    break;
  }
  ASSIGN_OR_RETURN(const v1::LocalMachine described, wait_ready(spec.name(), *machine, patience));
  v1::EnsureMachineResponse response;
  *response.mutable_machine() = described;
  response.set_created(created);
  return response;
}

Result<v1::LocalMachine> Host::set_power(const std::string& name, v1::MachinePower power,
                                         const Patience& patience) {
  if (power != v1::MACHINE_POWER_ON && power != v1::MACHINE_POWER_OFF)
    return Error(Code::kInvalidArgument,
                 fmt::format("machine \"{}\": power must be on or off", name));
  const MachinePointer machine = find(name);
  if (!machine) return missing(name);
  {
    const std::lock_guard busy(machine->busy);
    if (machine->removed) return missing(name);
    v1::MachineRecord state =
        machine->state.with([](const v1::MachineRecord& mine) { return mine; });
    state.set_power(power);
    RETURN_IF_ERROR(write_state(*machine, state));
    if (power == v1::MACHINE_POWER_OFF) {
      RETURN_IF_ERROR(pull_plug(name));
      return describe(name, *machine);
    }
    RETURN_IF_ERROR(ensure_on(*machine));
  }
  return wait_ready(name, *machine, patience);
}

Status Host::remove_machine(const std::string& name) {
  const MachinePointer machine = find(name);
  if (!machine) return {};
  const std::lock_guard busy(machine->busy);
  if (machine->removed) return {};
  RETURN_IF_ERROR(pull_plug(name));
  // The record goes first: a directory without one is swept by the next start.
  std::error_code error;
  fs::remove(state_.machine(name) / "machine.json", error);
  fs::remove_all(state_.machine(name), error);
  if (error)
    return Error(Code::kInternal,
                 fmt::format("remove {}: {}", state_.machine(name).string(), error.message()));
  machine->removed = true;
  machines_.with([&](auto& machines) { machines.erase(name); });
  return {};
}

Status Host::ensure_on(Machine& machine) {
  v1::MachineRecord state = machine.state.with([](const v1::MachineRecord& mine) { return mine; });
  const std::string& name = state.spec().name();
  if (is_supervised(name, machine)) return {};
  if (!state.prepared()) {
    RETURN_IF_ERROR(unmount_disk(state_.machine(name)));
    RETURN_IF_ERROR(prepare_disk(state_.machine(name), state));
    state.set_prepared(true);
    RETURN_IF_ERROR(write_state(machine, state));
  }
  const std::string group = supervisor_cgroup(name);
  RETURN_IF_ERROR(cgroups_->kill_all(group));
  RETURN_IF_ERROR(cgroups_->ensure(group, {}));
  ASSIGN_OR_RETURN(
      const v1::ProcessIdentity started,
      spawn_detached({.argv = {"self", "supervise", "--state", state_.path().string(), name},
                      .log = state_.machine(name) / "supervisor.log",
                      .cgroups = cgroups_->entrances(group)}));
  machine.supervisor.with([&](v1::ProcessIdentity& mine) { mine = started; });
  return {};
}

Status Host::pull_plug(const std::string& name) {
  // The wire first, so that nothing of the death is seen outside: no FIN, no RST.
  RETURN_IF_ERROR(cut_machine_network(options_.name, name));
  RETURN_IF_ERROR(cgroups_->kill_all(supervisor_cgroup(name)));
  RETURN_IF_ERROR(cgroups_->kill_all(machine_cgroup(name)));
  RETURN_IF_ERROR(remove_machine_network(options_.name, name));
  RETURN_IF_ERROR(unmount_disk(state_.machine(name)));
  RETURN_IF_ERROR(cgroups_->remove(supervisor_cgroup(name)));
  return cgroups_->remove(machine_cgroup(name));
}

// ---- what is

bool Host::is_supervised(const std::string& name, const Machine& machine) const {
  if (machine.supervisor.with([](const v1::ProcessIdentity& mine) { return is_alive(mine); }))
    return true;
  return is_alive(state_.read_supervisor(name).process());
}

v1::SupervisorRecord Host::report_of(const std::string& name, const Machine& machine) const {
  v1::SupervisorRecord report = state_.read_supervisor(name);
  const v1::ProcessIdentity mine =
      machine.supervisor.with([](const v1::ProcessIdentity& process) { return process; });
  // One that has just been started has not said anything yet.
  if (is_alive(mine) && !is_same(mine, report.process())) {
    report.set_phase(v1::SupervisorRecord::PHASE_STARTING);
    report.clear_message();
    *report.mutable_process() = mine;
  }
  return report;
}

v1::LocalMachine Host::describe(const std::string& name, const Machine& machine) const {
  const v1::MachineRecord state =
      machine.state.with([](const v1::MachineRecord& mine) { return mine; });
  const v1::SupervisorRecord report = report_of(name, machine);
  const bool supervised = is_alive(report.process());
  v1::LocalMachine out;
  *out.mutable_spec() = state.spec();
  const bool off = state.power() == v1::MACHINE_POWER_OFF ||
                   (!supervised && report.phase() == v1::SupervisorRecord::PHASE_POWERED_OFF);
  out.set_power(off ? v1::MACHINE_POWER_OFF : v1::MACHINE_POWER_ON);
  if (supervised) out.set_pid(report.process().pid());
  out.set_boots(report.boots());
  if (state.power() == v1::MACHINE_POWER_ON) out.set_message(report.message());
  if (auto key = read_ssh_host_key(state_.machine(name))) out.set_ssh_host_key(*key);
  return out;
}

Result<v1::LocalMachine> Host::wait_ready(const std::string& name, const Machine& machine,
                                          const Patience& patience) const {
  constexpr auto kProbe = std::chrono::milliseconds(1000);
  constexpr int kTries = 3;
  const auto path = namespace_path(fabric_namespace(options_.name));
  const int first_boot = report_of(name, machine).boots();
  while (true) {
    v1::LocalMachine out = describe(name, machine);
    const v1::SupervisorRecord report = report_of(name, machine);
    const bool alive = is_alive(report.process());
    if (out.power() == v1::MACHINE_POWER_OFF)
      return Error(Code::kAborted, fmt::format("machine \"{}\": was powered off meanwhile", name));
    if (report.phase() == v1::SupervisorRecord::PHASE_FAILED &&
        (!alive || report.boots() - first_boot >= kTries))
      return Error(Code::kInternal,
                   fmt::format("machine \"{}\": does not start: {}", name, report.message()));
    if (alive && report.phase() == v1::SupervisorRecord::PHASE_RUNNING) {
      ASSIGN_OR_RETURN(const Cidr address, Cidr::parse(out.spec().address()));
      ASSIGN_OR_RETURN(const auto answers, probe_ssh(path, {address.address()}, kProbe));
      if (answers.at(0)) {
        out.set_ready(true);
        return out;
      }
    }
    if (patience.gone())
      return Error(Code::kCancelled, fmt::format("machine \"{}\": the caller has gone", name));
    if (system_clock().mono() >= patience.deadline)
      return Error(Code::kDeadlineExceeded,
                   fmt::format("machine \"{}\": SSH does not answer in time{}{}", name,
                               out.message().empty() ? "" : ": ", out.message()));
    system_clock().sleep_for(kPollPeriod, {});
  }
}

Result<std::vector<v1::LocalMachine>> Host::list_machines() {
  const auto machines = machines_.with([](const auto& all) { return all; });
  std::vector<v1::LocalMachine> out;
  std::vector<IpAddress> addresses;
  std::vector<size_t> running;
  for (const auto& [name, machine] : machines) {
    out.push_back(describe(name, *machine));
    const auto address = Cidr::parse(out.back().spec().address());
    if (out.back().power() != v1::MACHINE_POWER_ON || !address) continue;
    running.push_back(out.size() - 1);
    addresses.push_back(address->address());
  }
  if (addresses.empty()) return out;
  ASSIGN_OR_RETURN(const auto answers, probe_ssh(namespace_path(fabric_namespace(options_.name)),
                                                 addresses, std::chrono::milliseconds(1000)));
  for (size_t i = 0; i < running.size(); ++i) out[running[i]].set_ready(answers[i]);
  return out;
}

// ---- watching

void Host::watch(const std::stop_token& stop) {
  MonoTime wan_not_before{};
  do {
    {
      const std::unique_lock busy(fabric_busy_, std::try_to_lock);
      const v1::HostRecord host = host_.with([](const v1::HostRecord& mine) { return mine; });
      if (busy && !host.fabric().links().empty() && !is_alive(host.wan()) &&
          system_clock().mono() >= wan_not_before) {
        spdlog::warn("wan emulator is not running; starting it");
        if (const Status up = ensure_wan(); !up) {
          spdlog::error("{}", up.error().message());
          wan_not_before = system_clock().mono() + std::chrono::seconds(5);
        }
      }
    }
    for (const auto& [name, machine] : machines_.with([](const auto& all) { return all; }))
      watch_machine(name, *machine);
  } while (system_clock().sleep_for(kWatchPeriod, stop));
}

void Host::watch_machine(const std::string& name, Machine& machine) {
  constexpr int kMostDoublings = 5;
  const std::unique_lock busy(machine.busy, std::try_to_lock);
  if (!busy || machine.removed || system_clock().mono() < machine.not_before) return;
  const auto power = machine.state.with([](const v1::MachineRecord& mine) { return mine.power(); });
  if (power != v1::MACHINE_POWER_ON || is_supervised(name, machine)) {
    machine.failures = 0;
    return;
  }
  if (state_.read_supervisor(name).phase() == v1::SupervisorRecord::PHASE_POWERED_OFF) return;
  spdlog::warn("machine \"{}\" is not running; starting it", name);
  if (const Status on = ensure_on(machine); !on)
    spdlog::error("machine \"{}\": {}", name, on.error().message());
  // Longer each time: a supervisor that cannot start its machine ends at once.
  machine.not_before =
      system_clock().mono() +
      std::chrono::seconds(1) * (1 << std::min(machine.failures++, kMostDoublings));
}

}  // namespace frameworks::hostd
