#include "runtime/health/health_monitor.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <thread>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"

namespace frameworks {
namespace {

class HealthMonitorTest : public ::testing::Test {
 protected:
  HealthMonitorTest()
      : store_(std::move(*Store::open(std::move(*open_sqlite_log(":memory:")), clock_, {}))) {
    pb::Service service;
    service.mutable_metadata()->set_name("web");
    auto& port = *service.mutable_spec()->add_ports();
    port.set_name("http");
    port.set_port(80);
    service.mutable_spec()->add_checks()->set_port("http");
    put(service);
    pb::Node node;
    node.mutable_metadata()->set_name("a");
    node.mutable_spec()->set_mesh_address("10.64.1.1");
    put(node);
    pb::Instance instance;
    instance.mutable_metadata()->set_name("web.a");
    instance.mutable_spec()->set_service("web");
    instance.mutable_spec()->set_node("a");
    put(instance);
  }

  template <typename T>
  void put(const T& message) {
    ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
      transaction.put(message);
      return {};
    }));
  }

  void start() { monitor_ = std::move(*HealthMonitor::start(*store_, clock_, {})); }

  void report(bool healthy, const std::string& reason = "") {
    pb::CheckReport report;
    report.set_instance("web.a");
    report.set_check("http/tcp");
    report.set_healthy(healthy);
    report.set_reason(reason);
    monitor_->report("a", report);
  }

  pb::NodeHealth node() { return store_->snapshot()->find<pb::Node>("a")->status().health(); }
  pb::InstanceStatus instance() {
    return store_->snapshot()->find<pb::Instance>("web.a")->status();
  }

  // Advances the clock by at most `limit` of ticks until `done` holds.
  template <typename Done>
  bool advance_until(Duration limit, Done done) {
    const auto deadline = system_clock().mono() + std::chrono::seconds(20);
    Duration passed{0};
    while (!done()) {
      if (system_clock().mono() > deadline) return false;
      if (passed < limit) {
        clock_.advance(std::chrono::milliseconds(50));
        passed += std::chrono::milliseconds(50);
      }
      // The monitor's thread ticks, then the store's writer writes: let them.
      std::this_thread::yield();
      EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
    }
    return true;
  }

  ManualClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<HealthMonitor> monitor_;
};

TEST_F(HealthMonitorTest, AHeardNodeIsHealthyAndItsInstanceOnceItsChecksPass) {
  start();
  monitor_->heartbeat("a");
  ASSERT_TRUE(advance_until({}, [&] { return node().state() == pb::HEALTH_HEALTHY; }));
  EXPECT_EQ(instance().state(), pb::HEALTH_UNKNOWN);
  EXPECT_EQ(instance().reason(), "check http/tcp has not reported yet");
  report(true);
  ASSERT_TRUE(advance_until({}, [&] { return instance().state() == pb::HEALTH_HEALTHY; }));
  report(false, "connection refused");
  ASSERT_TRUE(advance_until({}, [&] { return instance().state() == pb::HEALTH_DOWN; }));
  EXPECT_EQ(instance().reason(), "check http/tcp: connection refused");
}

TEST_F(HealthMonitorTest,
       SilenceTakesNodeAndInstancesDownWithinFiveSecondsAndAHeartbeatBringsBoth) {
  start();
  monitor_->heartbeat("a");
  report(true);
  ASSERT_TRUE(advance_until({}, [&] { return instance().state() == pb::HEALTH_HEALTHY; }));
  ASSERT_TRUE(
      advance_until(std::chrono::hours(1), [&] { return node().state() == pb::HEALTH_DOWN; }));
  EXPECT_EQ(instance().state(), pb::HEALTH_DOWN);
  EXPECT_EQ(instance().reason(), "node a is down");
  EXPECT_NE(node().reason().find("no heartbeat for"), std::string::npos);
  monitor_->heartbeat("a");
  ASSERT_TRUE(advance_until({}, [&] { return instance().state() == pb::HEALTH_HEALTHY; }));
  EXPECT_EQ(node().state(), pb::HEALTH_HEALTHY);
}

TEST_F(HealthMonitorTest, HeartbeatsAloneWriteNothing) {
  start();
  monitor_->heartbeat("a");
  ASSERT_TRUE(advance_until({}, [&] { return node().state() == pb::HEALTH_HEALTHY; }));
  const Revision before = store_->snapshot()->revision();
  for (int i = 0; i < 1000; ++i) monitor_->heartbeat("a");
  EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
  EXPECT_EQ(store_->snapshot()->revision(), before);
}

TEST_F(HealthMonitorTest, AfterARestartInstancesKeepTheirWordUntilTheyReportAgain) {
  start();
  monitor_->heartbeat("a");
  report(true);
  ASSERT_TRUE(advance_until({}, [&] { return instance().state() == pb::HEALTH_HEALTHY; }));
  monitor_.reset();
  start();
  monitor_->heartbeat("a");
  EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
  EXPECT_EQ(instance().state(), pb::HEALTH_HEALTHY);
}

TEST_F(HealthMonitorTest, ReportsOfOtherNodesInstancesAreDropped) {
  start();
  monitor_->heartbeat("a");
  report(true);
  ASSERT_TRUE(advance_until({}, [&] { return instance().state() == pb::HEALTH_HEALTHY; }));
  pb::CheckReport forged;
  forged.set_instance("web.a");
  forged.set_check("http/tcp");
  monitor_->report("b", forged);
  EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
  EXPECT_EQ(instance().state(), pb::HEALTH_HEALTHY);
}

TEST_F(HealthMonitorTest, AnInstanceThatComesLaterIsJudgedToo) {
  start();
  monitor_->heartbeat("a");
  pb::Service bare;
  bare.mutable_metadata()->set_name("bare");
  put(bare);
  pb::Instance instance;
  instance.mutable_metadata()->set_name("bare.a");
  instance.mutable_spec()->set_service("bare");
  instance.mutable_spec()->set_node("a");
  put(instance);
  // The node stays alive however long the monitor's thread takes to be run.
  EXPECT_TRUE(advance_until(std::chrono::hours(1), [&] {
    monitor_->heartbeat("a");
    const SnapshotPtr snapshot = store_->snapshot();
    return snapshot->find<pb::Instance>("bare.a")->status().state() == pb::HEALTH_HEALTHY;
  }));
}

}  // namespace
}  // namespace frameworks
