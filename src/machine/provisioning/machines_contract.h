// What every side of the Machines seam must do. Instantiated for the fake beside it, and for real
// machines by the tests of src/hostd.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "machine/provisioning/machines.h"

namespace frameworks::provisioning {

// One side under test; its machines go with it.
class MachinesUnderTest {
 public:
  virtual ~MachinesUnderTest() = default;
  // Why it cannot be tested here; empty when it can.
  virtual std::string why_not() = 0;
  virtual Machines& machines() = 0;
};

using MakeMachinesUnderTest = std::function<std::unique_ptr<MachinesUnderTest>()>;

class MachinesContract : public testing::TestWithParam<MakeMachinesUnderTest> {
 protected:
  void SetUp() override {
    side_ = GetParam()();
    if (const std::string reason = side_->why_not(); !reason.empty()) GTEST_SKIP() << reason;
  }
  Machines& machines() { return side_->machines(); }

  static v1::EnsureFabricRequest fabric(std::initializer_list<const char*> regions) {
    v1::EnsureFabricRequest out;
    out.set_host_address("10.99.0.1/16");
    for (const char* region : regions) out.add_links()->set_region(region);
    return out;
  }
  static v1::MachineSpec machine(const std::string& name, const std::string& region,
                                 const std::string& address) {
    v1::MachineSpec out;
    out.set_name(name);
    out.set_region(region);
    out.set_address(address);
    out.set_cpus(1);
    out.set_memory_mb(256);
    return out;
  }
  void make_fabric() { ASSERT_TRUE(machines().ensure_fabric(fabric({"eu", "us"})).has_value()); }
  v1::LocalMachine make_machine(const std::string& name = "edge-1") {
    const auto made = machines().ensure(machine(name, "eu", "10.99.1.1/16"));
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    return made ? made->machine : v1::LocalMachine();
  }

 private:
  std::unique_ptr<MachinesUnderTest> side_;
};

TEST_P(MachinesContract, NeedsTheFabricBeforeAMachine) {
  const auto made = machines().ensure(machine("edge-1", "eu", "10.99.1.1/16"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kFailedPrecondition);
}

TEST_P(MachinesContract, MakesAMachineOnceAndFindsItTheNextTime) {
  make_fabric();
  const auto spec = machine("edge-1", "eu", "10.99.1.1/16");
  const auto first = machines().ensure(spec);
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_TRUE(first->created);
  EXPECT_TRUE(first->machine.ready());
  EXPECT_EQ(first->machine.power(), v1::MACHINE_POWER_ON);
  EXPECT_EQ(first->machine.boots(), 1);
  EXPECT_TRUE(first->machine.ssh_host_key().starts_with("ssh-ed25519 "));

  const auto second = machines().ensure(spec);
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_FALSE(second->created);
  EXPECT_EQ(second->machine.pid(), first->machine.pid());
  EXPECT_EQ(second->machine.boots(), 1);
}

TEST_P(MachinesContract, RefusesOrdersThatMakeNoSense) {
  make_fabric();
  for (const char* name : {"", "Edge", "edge_1", "-edge", "../edge", "edge 1"}) {
    const auto made = machines().ensure(machine(name, "eu", "10.99.1.1/16"));
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code(), Code::kInvalidArgument) << name;
  }
  for (const char* address : {"", "10.99.1.1", "10.99.0.0/16", "fd00::1/64", "300.1.1.1/16"}) {
    const auto made = machines().ensure(machine("edge-1", "eu", address));
    ASSERT_FALSE(made) << address;
    EXPECT_EQ(made.error().code(), Code::kInvalidArgument) << address;
  }
  const auto nowhere = machines().ensure(machine("edge-1", "asia", "10.99.1.1/16"));
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code(), Code::kFailedPrecondition);
  const auto twice = machines().ensure_fabric(fabric({"eu", "eu"}));
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(machines().list()->empty());
}

TEST_P(MachinesContract, GivesAnAddressOutOnce) {
  make_fabric();
  make_machine();
  for (const char* address : {"10.99.1.1/16", "10.99.0.1/16"}) {
    const auto made = machines().ensure(machine("edge-2", "us", address));
    ASSERT_FALSE(made) << address;
    EXPECT_EQ(made.error().code(), Code::kAlreadyExists) << address;
  }
}

TEST_P(MachinesContract, ComesBackFromAPowerCutAsTheSameMachine) {
  make_fabric();
  const v1::LocalMachine before = make_machine();
  const auto off = machines().set_power("edge-1", v1::MACHINE_POWER_OFF);
  ASSERT_TRUE(off) << off.error().text();
  EXPECT_EQ(off->power(), v1::MACHINE_POWER_OFF);
  EXPECT_EQ(off->pid(), 0);
  EXPECT_FALSE(off->ready());
  EXPECT_EQ(machines().list()->at(0).power(), v1::MACHINE_POWER_OFF);
  EXPECT_TRUE(machines().set_power("edge-1", v1::MACHINE_POWER_OFF)) << "again";

  const auto on = machines().set_power("edge-1", v1::MACHINE_POWER_ON);
  ASSERT_TRUE(on) << on.error().text();
  EXPECT_TRUE(on->ready());
  EXPECT_EQ(on->boots(), before.boots() + 1);
  EXPECT_EQ(on->ssh_host_key(), before.ssh_host_key());
}

TEST_P(MachinesContract, TurnsOnAMachineThatIsOrderedWhileOff) {
  make_fabric();
  make_machine();
  ASSERT_TRUE(machines().set_power("edge-1", v1::MACHINE_POWER_OFF));
  EXPECT_TRUE(make_machine().ready());
}

TEST_P(MachinesContract, ChangesLimitsInPlaceButDoesNotMoveAMachine) {
  make_fabric();
  const v1::LocalMachine before = make_machine();
  auto wanted = before.spec();
  wanted.set_memory_mb(512);
  wanted.add_authorized_keys("ssh-ed25519 AAAA somebody");
  const auto changed = machines().ensure(wanted);
  ASSERT_TRUE(changed) << changed.error().text();
  EXPECT_EQ(changed->machine.spec().memory_mb(), 512);
  EXPECT_EQ(changed->machine.pid(), before.pid());
  wanted.set_region("us");
  const auto moved = machines().ensure(wanted);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code(), Code::kFailedPrecondition);
}

TEST_P(MachinesContract, ForgetsARemovedMachine) {
  make_fabric();
  const v1::LocalMachine before = make_machine();
  ASSERT_TRUE(machines().remove("edge-1"));
  ASSERT_TRUE(machines().remove("edge-1")) << "again";
  EXPECT_TRUE(machines().list()->empty());
  const auto power = machines().set_power("edge-1", v1::MACHINE_POWER_ON);
  ASSERT_FALSE(power);
  EXPECT_EQ(power.error().code(), Code::kNotFound);
  EXPECT_NE(make_machine().ssh_host_key(), before.ssh_host_key());
}

TEST_P(MachinesContract, KeepsARegionWhileMachinesAreInIt) {
  make_fabric();
  make_machine();
  const auto refused = machines().ensure_fabric(fabric({"us"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(machines().remove("edge-1"));
  EXPECT_TRUE(machines().ensure_fabric(fabric({"us"})));
}

}  // namespace frameworks::provisioning
