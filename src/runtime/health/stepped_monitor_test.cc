// The monitor without a thread of its own: every step is the test's.
#include <gtest/gtest.h>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/health/checks_plan.h"
#include "runtime/health/health_monitor.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;

// Three regions with a node each; "web" runs on eu-1 and is looked at from the other regions.
class SteppedMonitor : public ::testing::Test {
 protected:
  SteppedMonitor()
      : store_(std::move(*Store::open(std::move(*open_sqlite_log(":memory:")), clock_, {}))) {
    for (const char* region : {"eu", "us", "ap"}) {
      pb::Cluster cluster;
      cluster.mutable_metadata()->set_name(region);
      cluster.mutable_spec()->set_region(region);
      put(cluster);
      pb::Node node;
      node.mutable_metadata()->set_name(std::string(region) + "-1");
      node.mutable_spec()->set_cluster(region);
      node.mutable_spec()->set_address("10.0.0.1");
      node.mutable_status()->mutable_agent()->mutable_join_time()->set_seconds(1);
      put(node);
    }
    pb::Service service;
    service.mutable_metadata()->set_name("web");
    auto& port = *service.mutable_spec()->add_ports();
    port.set_name("http");
    port.set_port(80);
    port.set_exposure(pb::EXPOSURE_PUBLIC);
    auto& check = *service.mutable_spec()->add_checks();
    check.set_port("http");
    check.set_from_other_regions(true);
    auto& mild = *service.mutable_spec()->add_checks();
    mild.set_type(pb::CHECK_TYPE_COMMAND);
    mild.set_name("mild");
    mild.add_command("/bin/true");
    mild.set_severity(pb::SEVERITY_DEGRADED);
    put(service);
    pb::Instance instance;
    instance.mutable_metadata()->set_name("web.eu-1");
    instance.mutable_spec()->set_service("web");
    instance.mutable_spec()->set_node("eu-1");
    put(instance);
    HealthMonitor::Options options;
    options.has_thread = false;
    options.ask = [this](const std::string& peer, const pb::ProbePeer& probe) {
      asked_.emplace_back(peer, probe);
      return true;
    };
    options.look = [this](const pb::ProbePeer& probe) { looked_ = probe; };
    monitor_ = std::move(*HealthMonitor::start(*store_, clock_, std::move(options)));
  }

  template <typename T>
  void put(const T& message) {
    ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
      transaction.put(message);
      return {};
    }));
  }
  // All that was queued is on disk.
  void settle() {
    ASSERT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
  }
  void beat(const std::string& node, const pb::Heartbeat& heartbeat = {}) {
    monitor_->heartbeat(node, heartbeat);
  }
  // Steps for so long; all but `silent` are heard.
  void pass(milliseconds time, const std::string& silent = "") {
    for (milliseconds passed{0}; passed < time; passed += milliseconds(200)) {
      clock_.advance(milliseconds(200));
      for (const char* node : {"eu-1", "us-1", "ap-1"})
        if (node != silent) beat(node);
      monitor_->step();
    }
    settle();
  }
  void report(const std::string& check, bool healthy, bool degraded = false) {
    pb::CheckReport report;
    report.set_instance("web.eu-1");
    report.set_check(check);
    report.set_healthy(healthy);
    report.set_degraded(degraded);
    report.set_reason("why");
    monitor_->report("eu-1", report);
    settle();
  }
  void report_outside(const std::string& node, bool healthy) {
    pb::CheckReport report;
    report.set_instance("web.eu-1");
    report.set_check("http/tcp");
    report.set_healthy(healthy);
    report.set_reason("no connection");
    report.set_from_outside(true);
    monitor_->report(node, report);
    settle();
  }
  pb::NodeHealth node(const std::string& name = "eu-1") {
    return store_->snapshot()->find<pb::Node>(name)->status().health();
  }
  pb::InstanceStatus instance() {
    return store_->snapshot()->find<pb::Instance>("web.eu-1")->status();
  }

  ManualClock clock_;
  std::unique_ptr<Store> store_;
  std::vector<std::pair<std::string, pb::ProbePeer>> asked_;
  pb::ProbePeer looked_;  // by the server itself, last
  std::unique_ptr<HealthMonitor> monitor_;
};

TEST_F(SteppedMonitor, PeersOfOtherRegionsAreAskedBeforeTheVerdictAndTheirWordDecides) {
  pass(milliseconds(1000));
  pass(milliseconds(2000), "eu-1");
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked_[0].second.node(), "eu-1");
  EXPECT_EQ(asked_[0].second.targets(0), "10.0.0.1:22");
  EXPECT_EQ(asked_[0].second.targets(1), "10.0.0.1:80");
  pb::ProbeResult result;
  result.set_node("eu-1");
  result.set_id(asked_[0].second.id());
  result.set_reachable(true);
  result.set_message("10.0.0.1:22 accepts connections");
  monitor_->probed("nobody-asked", result);
  monitor_->probed(asked_[0].first, result);
  pass(milliseconds(2000), "eu-1");
  EXPECT_EQ(node().state(), pb::HEALTH_SUSPECT);
  EXPECT_TRUE(node().partitioned());
  EXPECT_EQ(instance().reason().find("node eu-1"), std::string::npos) << "it keeps its place";
  pass(milliseconds(1000));
  EXPECT_EQ(node().state(), pb::HEALTH_HEALTHY);
  EXPECT_FALSE(node().partitioned());
}

TEST_F(SteppedMonitor, WhomTheServerItselfReachesHasASilentAgent) {
  pass(milliseconds(1000));
  pass(milliseconds(2000), "eu-1");
  ASSERT_EQ(looked_.node(), "eu-1");
  pb::ProbeResult result;
  result.set_node("eu-1");
  result.set_id(looked_.id());
  result.set_reachable(true);
  monitor_->probed("", result);
  pass(milliseconds(1000), "eu-1");
  EXPECT_EQ(node().state(), pb::HEALTH_SUSPECT);
  EXPECT_TRUE(node().agent_silent());
  EXPECT_FALSE(node().partitioned() || node().held());
  pass(milliseconds(1000));
  EXPECT_EQ(node().state(), pb::HEALTH_HEALTHY);
  EXPECT_FALSE(node().agent_silent());
}

TEST_F(SteppedMonitor, ThoseThatVanishTogetherAreHeldUntilTheyReturn) {
  pass(milliseconds(1000));
  for (int i = 0; i < 15; ++i) {
    clock_.advance(milliseconds(200));
    beat("ap-1");
    monitor_->step();
  }
  settle();
  for (const char* name : {"eu-1", "us-1"}) {
    EXPECT_EQ(node(name).state(), pb::HEALTH_SUSPECT) << name;
    EXPECT_TRUE(node(name).held()) << name;
  }
  EXPECT_FALSE(node("ap-1").held());
  pass(milliseconds(400));
  EXPECT_FALSE(node("eu-1").held() || node("us-1").held());
}

TEST_F(SteppedMonitor, AnAnswerOfWhomNobodyAskedIsDropped) {
  pass(milliseconds(1000));
  pass(milliseconds(2000), "eu-1");
  ASSERT_FALSE(asked_.empty());
  pb::ProbeResult result;
  result.set_node("eu-1");
  result.set_id(asked_[0].second.id() + 1);
  result.set_reachable(true);
  monitor_->probed("us-1", result);
  result.set_id(asked_[0].second.id());
  monitor_->probed("eu-1", result);
  pass(milliseconds(2000), "eu-1");
  EXPECT_EQ(node().state(), pb::HEALTH_DOWN);
}

TEST_F(SteppedMonitor, ReportsOfWhatIsNotTheReportersAreCountedAndCostNothing) {
  pass(milliseconds(1000));
  const Revision before = store_->snapshot()->revision();
  for (int i = 0; i < 100'000; ++i) {
    pb::CheckReport report;
    report.set_instance("x" + std::to_string(i) + ".eu-1");
    report.set_check("http/tcp");
    monitor_->report("eu-1", report);
  }
  pb::CheckReport report;
  report.set_instance("web.eu-1");
  for (int i = 0; i < 1000; ++i) {
    report.set_check("check " + std::to_string(i));
    monitor_->report("eu-1", report);
  }
  report.set_check("http/tcp");
  monitor_->report("us-1", report);
  settle();
  EXPECT_EQ(store_->snapshot()->revision(), before);
  EXPECT_EQ(monitor_->counts().refused, 101'001);
}

TEST_F(SteppedMonitor, AMildCheckDegradesAndDoesNotTakeDown) {
  pass(milliseconds(1000));
  report("http/tcp", true);
  report("mild", false);
  EXPECT_EQ(instance().state(), pb::HEALTH_DEGRADED);
  report("mild", true);
  EXPECT_EQ(instance().state(), pb::HEALTH_HEALTHY);
  report("http/tcp", false, true);
  EXPECT_EQ(instance().state(), pb::HEALTH_DEGRADED) << "it says so itself";
  report("http/tcp", false);
  EXPECT_EQ(instance().state(), pb::HEALTH_DOWN);
}

TEST_F(SteppedMonitor, WhatOnlyOtherRegionsCannotReachIsDegraded) {
  const SnapshotPtr snapshot = store_->snapshot();
  for (const char* name : {"us-1", "ap-1"}) {
    const auto plan = plan_checks(*snapshot, *snapshot->find<pb::Node>(name));
    ASSERT_EQ(plan.instances_size(), 1) << name;
    EXPECT_TRUE(plan.instances(0).from_outside());
    ASSERT_EQ(plan.instances(0).probes_size(), 1);
    EXPECT_EQ(plan.instances(0).probes(0).target(), "10.0.0.1:80");
  }
  pass(milliseconds(1000));
  report("http/tcp", true);
  report("mild", true);
  report_outside("us-1", false);
  EXPECT_EQ(instance().state(), pb::HEALTH_DEGRADED);
  report_outside("ap-1", true);
  EXPECT_EQ(instance().state(), pb::HEALTH_HEALTHY) << "one of two may have a bad link";
  report_outside("ap-1", false);
  EXPECT_EQ(instance().state(), pb::HEALTH_DEGRADED);
  report_outside("eu-1", false);
  EXPECT_EQ(monitor_->counts().refused, 1) << "its own node is not outside";
}

TEST_F(SteppedMonitor, AnInstanceThatFlapsIsHeldAtItsWorstUntilItIsCalm) {
  pass(milliseconds(1000));
  report("mild", true);
  for (int i = 0; i < 5; ++i) {
    report("http/tcp", true);
    report("http/tcp", false);
  }
  report("http/tcp", true);
  EXPECT_EQ(instance().state(), pb::HEALTH_DOWN);
  EXPECT_TRUE(instance().flapping());
  EXPECT_EQ(monitor_->counts().flapping, 1);
  pass(milliseconds(200'000));
  EXPECT_EQ(instance().state(), pb::HEALTH_HEALTHY);
  EXPECT_FALSE(instance().flapping());
}

TEST_F(SteppedMonitor, ASaturatedNodeIsDegradedAndSaysWhat) {
  pass(milliseconds(1000));
  pb::Heartbeat full;
  full.mutable_load()->set_disk(0.99);
  for (int i = 0; i < 3; ++i) beat("eu-1", full);
  settle();
  EXPECT_EQ(node().state(), pb::HEALTH_DEGRADED);
  ASSERT_EQ(node().saturated_size(), 1);
  EXPECT_EQ(node().saturated(0), "disk");
  full.mutable_load()->set_disk(0.5);
  for (int i = 0; i < 5; ++i) beat("eu-1", full);
  settle();
  EXPECT_EQ(node().state(), pb::HEALTH_HEALTHY);
  EXPECT_EQ(node().saturated_size(), 0);
}

TEST_F(SteppedMonitor, AClockThatIsADayOffIsToldAndChangesNothingElse) {
  pass(milliseconds(1000));
  report("http/tcp", true);
  report("mild", true);
  pb::Heartbeat wrong;
  wrong.mutable_time()->set_seconds(clock_.wall().time_since_epoch() / std::chrono::seconds(1) +
                                    86'400);
  for (int i = 0; i < 3; ++i) beat("eu-1", wrong);
  settle();
  EXPECT_EQ(node().state(), pb::HEALTH_DEGRADED);
  EXPECT_EQ(node().reason(), "clock 86400 s ahead");
  EXPECT_TRUE(node().clock_off());
  EXPECT_EQ(instance().state(), pb::HEALTH_HEALTHY);
  pass(milliseconds(2000), "eu-1");
  EXPECT_EQ(node().state(), pb::HEALTH_SUSPECT);
  EXPECT_TRUE(node().clock_off()) << "silence does not set it right";
  pass(milliseconds(1000), "eu-1");
  EXPECT_EQ(node().state(), pb::HEALTH_DOWN);
  EXPECT_FALSE(node().clock_off()) << "nothing is known of it";
}

}  // namespace
}  // namespace frameworks
