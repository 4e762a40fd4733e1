// Machines that are switched off while an operation makes them.
#include "server/provision_step.h"

#include <gtest/gtest.h>

#include <functional>

#include "frameworks/v1/cluster.pb.h"
#include "machine/provisioning/fake_machines.h"
#include "server/machine_power.h"
#include "server/unfinished.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

using provisioning::EnsuredMachine;
using provisioning::FakeMachines;

// Calls what a test has to do before and after a machine is made.
class WatchedMachines final : public provisioning::Machines {
 public:
  std::function<void()> before_ensure = [] {};
  std::function<void()> after_ensure = [] {};

  Result<std::string> ensure_fabric(const v1::EnsureFabricRequest& wanted) override {
    return fake_.ensure_fabric(wanted);
  }
  Result<EnsuredMachine> ensure(const v1::MachineSpec& spec,
                                std::chrono::milliseconds patience) override {
    before_ensure();
    auto out = fake_.ensure(spec, patience);
    after_ensure();
    return out;
  }
  Result<v1::LocalMachine> set_power(const std::string& name, v1::MachinePower power,
                                     std::chrono::milliseconds patience) override {
    return fake_.set_power(name, power, patience);
  }
  Status remove(const std::string& name) override { return fake_.remove(name); }
  Result<std::vector<v1::LocalMachine>> list() override { return fake_.list(); }
  void fail_next(Error error) { fake_.fail_next(std::move(error)); }

 private:
  FakeMachines fake_;
};

class ProvisionStepTest : public testing::Test, public OperationContext {
 protected:
  void SetUp() override {
    store_ = Store::open(std::make_unique<FakeLog>(), clock_, {}).value();
    const auto written = store_->write("account/test", [](Transaction& transaction) -> Status {
      pb::Cluster cluster;
      cluster.mutable_metadata()->set_name("core");
      cluster.mutable_spec()->set_region("eu");
      transaction.put(cluster);
      pb::MachinePool pool;
      pool.mutable_metadata()->set_name("core");
      pool.mutable_spec()->set_cluster("core");
      pool.mutable_spec()->set_provider("local");
      pool.mutable_spec()->mutable_size()->set_cpus(1);
      pool.mutable_spec()->mutable_size()->set_memory_mb(512);
      transaction.put(pool);
      pb::Node node;
      node.mutable_metadata()->set_name("core-1");
      node.mutable_spec()->set_cluster("core");
      node.mutable_spec()->set_pool("core");
      node.mutable_spec()->set_address("10.99.1.1");
      transaction.put(node);
      return {};
    });
    ASSERT_TRUE(written) << written.error().text();
  }

  Status provision() {
    ProvisionStep step{machines_, "", {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA test"}};
    return step.run(*this);
  }
  Status switch_power(bool on) {
    return frameworks::switch_power(*store_, machines_, "account/test", "core-1", on,
                                    "account/test");
  }
  pb::Node node() const { return *store_->snapshot()->find<pb::Node>("core-1"); }
  v1::LocalMachine machine() { return machines_.list().value().at(0); }
  void expect_off() {
    EXPECT_TRUE(is_switched_off(node()));
    EXPECT_EQ(node().status().machine().message(), "switched off by account/test");
    EXPECT_EQ(machine().power(), v1::MACHINE_POWER_OFF);
  }

  Store& store() override { return *store_; }
  Clock& clock() override { return clock_; }
  std::stop_token stop() const override { return {}; }
  const std::string& operation() const override { return name_; }
  Revision revision() const override { return 1; }
  void emit(pb::OperationEvent event) override { events_.push_back(std::move(event)); }

  ManualClock clock_;
  std::unique_ptr<Store> store_;
  WatchedMachines machines_;
  std::string name_ = "apply-1";
  std::vector<pb::OperationEvent> events_;
};

TEST_F(ProvisionStepTest, AMachineIsMadeAndCanBeSwitchedOffAndOn) {
  ASSERT_TRUE(provision());
  EXPECT_EQ(node().status().machine().state(), pb::MACHINE_STATE_RUNNING);
  EXPECT_EQ(machine().power(), v1::MACHINE_POWER_ON);
  ASSERT_TRUE(switch_power(false));
  expect_off();
  ASSERT_TRUE(provision());
  expect_off();
  ASSERT_TRUE(switch_power(true));
  EXPECT_EQ(node().status().machine().state(), pb::MACHINE_STATE_RUNNING);
  EXPECT_EQ(node().status().machine().message(), "");
  EXPECT_EQ(machine().power(), v1::MACHINE_POWER_ON);
}

TEST_F(ProvisionStepTest, AMachineThatIsSwitchedOffWhileItIsMadeStaysOff) {
  ASSERT_TRUE(provision());
  machines_.before_ensure = [&] { ASSERT_TRUE(switch_power(false)); };
  ASSERT_TRUE(provision());
  expect_off();
  EXPECT_EQ(events_.back().message(), "was switched off meanwhile: stays off");

  machines_.before_ensure = [] {};
  ASSERT_TRUE(switch_power(true));
  machines_.after_ensure = [&] { ASSERT_TRUE(switch_power(false)); };
  ASSERT_TRUE(provision());
  expect_off();
}

TEST_F(ProvisionStepTest, AMachineThatDoesNotStartBecauseItIsSwitchedOffIsNoFailure) {
  ASSERT_TRUE(provision());
  machines_.before_ensure = [&] {
    ASSERT_TRUE(switch_power(false));
    machines_.fail_next(Error(Code::kAborted, "was powered off meanwhile"));
  };
  ASSERT_TRUE(provision());
  expect_off();
}

TEST_F(ProvisionStepTest, ASwitchThatFailsLeavesWhatIsKnownAsItWas) {
  ASSERT_TRUE(provision());
  machines_.fail_next(Error(Code::kUnavailable, "nobody is there"));
  const Status failed = switch_power(false);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Code::kUnavailable);
  EXPECT_EQ(node().status().machine().state(), pb::MACHINE_STATE_RUNNING);
}

TEST_F(ProvisionStepTest, AMachineThatWasNeverMadeCannotBeSwitchedOff) {
  const Status refused = switch_power(false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(node().status().machine().state(), pb::MACHINE_STATE_UNSPECIFIED);
}

}  // namespace
}  // namespace frameworks
