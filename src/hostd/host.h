// The daemon's core: the fabric and the machines of one instance, as recorded in the state
// directory. Takes over what an earlier daemon left running, and keeps it running.
//
// Threadsafe. Calls for different machines run in parallel; calls for one machine one after the
// other. No lock is held while waiting for a machine to answer.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/locked.h"
#include "frameworks/v1/hostd.pb.h"
#include "hostd/cgroups.h"
#include "hostd/state.h"

namespace frameworks::hostd {

struct HostOptions {
  std::string name;
  std::filesystem::path state;
  std::filesystem::path base;
  std::filesystem::path repository;  // may be empty
};

// Whoever waits may stop waiting: a deadline, and whether the caller has gone.
struct Patience {
  MonoTime deadline;
  std::function<bool()> gone = [] { return false; };
};

class Host {
 public:
  explicit Host(HostOptions options);
  ~Host();

  // Takes the state directory, brings back what it says should be, and watches over it.
  Status start();
  // Stops watching; machines and network go on.
  void stop();

  Result<v1::EnsureFabricResponse> ensure_fabric(const v1::EnsureFabricRequest& request);
  Result<v1::EnsureMachineResponse> ensure_machine(const v1::MachineSpec& spec,
                                                   const Patience& patience);
  Result<v1::LocalMachine> set_power(const std::string& name, v1::MachinePower power,
                                     const Patience& patience);
  Status remove_machine(const std::string& name);
  Result<std::vector<v1::LocalMachine>> list_machines();

 private:
  struct Machine {
    std::mutex busy;  // held by the one call that changes it
    Locked<v1::MachineRecord> state;
    Locked<v1::ProcessIdentity> supervisor;  // as started by us; else see supervisor.json
    int failures = 0;                        // under busy
    MonoTime not_before{};                   // under busy
    bool removed = false;                    // under busy
  };
  using MachinePointer = std::shared_ptr<Machine>;
  using MachineMap = std::map<std::string, MachinePointer>;

  Status load_machines();
  Status bring_up_fabric(const v1::HostRecord& host);  // with fabric_busy_ held
  Status ensure_wan();                                 // likewise
  void watch(const std::stop_token& stop);
  void watch_machine(const std::string& name, Machine& machine);

  MachinePointer find(const std::string& name);
  static std::vector<v1::MachineSpec> specs_of(const MachineMap& machines);
  Result<MachinePointer> find_or_record(const v1::MachineSpec& spec, bool& created);
  Status adjust(Machine& machine, const v1::MachineSpec& spec);
  bool is_supervised(const std::string& name, const Machine& machine) const;
  v1::SupervisorRecord report_of(const std::string& name, const Machine& machine) const;
  // These with `busy` held.
  Status ensure_on(Machine& machine);
  Status pull_plug(const std::string& name);
  Status write_state(Machine& machine, const v1::MachineRecord& state);

  v1::LocalMachine describe(const std::string& name, const Machine& machine) const;
  Result<v1::LocalMachine> wait_ready(const std::string& name, const Machine& machine,
                                      const Patience& patience) const;

  HostOptions options_;
  StateDirectory state_;
  Fd lock_;
  std::mutex fabric_busy_;
  Locked<v1::HostRecord> host_;
  std::unique_ptr<Cgroups> cgroups_;
  Locked<MachineMap> machines_;
  std::jthread watcher_;
};

}  // namespace frameworks::hostd
