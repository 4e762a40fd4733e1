// A fake of Machines: records in memory, nothing runs. Passes the same contract suite as the real
// side, and can be told to fail.
#pragma once

#include <fmt/format.h>

#include <map>
#include <optional>
#include <utility>

#include "base/locked.h"
#include "machine/provisioning/machine_rules.h"
#include "machine/provisioning/machines.h"

namespace frameworks::provisioning {

class FakeMachines final : public Machines {
 public:
  // The next call that changes something fails with this, and changes nothing.
  void fail_next(Error error) {
    world_.with([&](World& world) { world.failure = std::move(error); });
  }

  Result<std::string> ensure_fabric(const v1::EnsureFabricRequest& wanted) override {
    return world_.with([&](World& world) -> Result<std::string> {
      RETURN_IF_ERROR(take_failure(world));
      RETURN_IF_ERROR(check_fabric(wanted));
      RETURN_IF_ERROR(check_fabric_change(wanted, specs(world)));
      world.fabric = wanted;
      return std::string("/run/netns/fake");
    });
  }

  Result<EnsuredMachine> ensure(const v1::MachineSpec& spec, std::chrono::milliseconds) override {
    return world_.with([&](World& world) -> Result<EnsuredMachine> {
      RETURN_IF_ERROR(take_failure(world));
      RETURN_IF_ERROR(check_machine(spec));
      const auto found = world.machines.find(spec.name());
      const bool created = found == world.machines.end();
      if (created)
        RETURN_IF_ERROR(check_place(world.fabric, specs(world), spec));
      else
        RETURN_IF_ERROR(check_unmoved(found->second.spec(), spec));
      v1::LocalMachine& machine = world.machines[spec.name()];
      if (created) machine.set_ssh_host_key(fmt::format("ssh-ed25519 fake-{}", ++world.keys));
      *machine.mutable_spec() = spec;
      turn_on(world, machine);
      return EnsuredMachine{machine, created};
    });
  }

  Result<v1::LocalMachine> set_power(const std::string& name, v1::MachinePower power,
                                     std::chrono::milliseconds) override {
    return world_.with([&](World& world) -> Result<v1::LocalMachine> {
      RETURN_IF_ERROR(take_failure(world));
      if (power == v1::MACHINE_POWER_UNSPECIFIED)
        return Error(Code::kInvalidArgument,
                     fmt::format("machine \"{}\": power must be on or off", name));
      const auto found = world.machines.find(name);
      if (found == world.machines.end())
        return Error(Code::kNotFound, fmt::format("machine \"{}\": there is none", name));
      v1::LocalMachine& machine = found->second;
      if (power == v1::MACHINE_POWER_ON) {
        turn_on(world, machine);
      } else {
        machine.set_power(power);
        machine.set_ready(false);
        machine.set_pid(0);
      }
      return machine;
    });
  }

  Status remove(const std::string& name) override {
    return world_.with([&](World& world) -> Status {
      RETURN_IF_ERROR(take_failure(world));
      world.machines.erase(name);
      return {};
    });
  }

  Result<std::vector<v1::LocalMachine>> list() override {
    return world_.with([](const World& world) -> Result<std::vector<v1::LocalMachine>> {
      std::vector<v1::LocalMachine> out;
      for (const auto& [name, machine] : world.machines) out.push_back(machine);
      return out;
    });
  }

 private:
  struct World {
    v1::EnsureFabricRequest fabric;
    std::map<std::string, v1::LocalMachine> machines;
    std::optional<Error> failure;
    int keys = 0;
    int64_t pids = 0;
  };

  static Status take_failure(World& world) {
    if (auto failure = std::exchange(world.failure, std::nullopt)) return *failure;
    return {};
  }
  static std::vector<v1::MachineSpec> specs(const World& world) {
    std::vector<v1::MachineSpec> out;
    for (const auto& [name, machine] : world.machines) out.push_back(machine.spec());
    return out;
  }
  static void turn_on(World& world, v1::LocalMachine& machine) {
    if (machine.power() == v1::MACHINE_POWER_ON) return;
    machine.set_power(v1::MACHINE_POWER_ON);
    machine.set_ready(true);
    machine.set_pid(++world.pids);
    machine.set_boots(machine.boots() + 1);
  }

  Locked<World> world_;
};

}  // namespace frameworks::provisioning
