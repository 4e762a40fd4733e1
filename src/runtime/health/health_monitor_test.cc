#include "runtime/health/health_monitor.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <set>
#include <thread>

#include "base/locked.h"
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
    const auto deadline = system_clock().mono() + std::chrono::seconds(60);
    Duration passed{0};
    while (!done()) {
      if (system_clock().mono() > deadline) return false;
      if (passed < limit) {
        clock_.advance(std::chrono::milliseconds(50));
        passed += std::chrono::milliseconds(50);
      }
      // The monitor's thread ticks, then the store's writer writes: let them. A monitor that is run
      // only once in a second of its clock counts nobody's silence.
      system_clock().sleep_for(std::chrono::milliseconds(3), {});
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

// A lease of which the test says who holds it and who lives.
class FakeLease final : public Lease {
 public:
  struct World {
    std::string holder;
    std::set<std::string> alive;
  };
  FakeLease(std::string server, std::shared_ptr<Locked<World>> world)
      : server_(std::move(server)), world_(std::move(world)) {}

  const std::string& server() const override { return server_; }
  bool held() const override {
    return world_->with([&](const World& world) { return world.holder == server_; });
  }
  Edit fenced(Edit edit) const override {
    return [edit = std::move(edit), server = server_, world = world_](Transaction& t) -> Status {
      if (!world->with([&](const World& now) { return now.holder == server; }))
        return Error(Code::kFailedPrecondition, "not the holder");
      return edit(t);
    };
  }
  bool is_alive(const std::string& server) const override {
    return world_->with([&](const World& world) { return world.alive.contains(server); });
  }
  void on_change(std::function<void(bool)>) override {}
  void set_report(std::function<std::string()>) override {}
  std::string report_of(const std::string&) const override { return {}; }
  Status start() override { return {}; }
  void stop() override {}

 private:
  const std::string server_;
  std::shared_ptr<Locked<World>> world_;
};

// Two servers' monitors on one fleet.
class HealthOfServersTest : public HealthMonitorTest {
 protected:
  HealthOfServersTest() {
    world_->with([](FakeLease::World& world) { world = {"one", {"one", "two"}}; });
    one_ = std::move(*HealthMonitor::start(*store_, clock_, {.lease = &lease_one_}));
    two_ = std::move(*HealthMonitor::start(*store_, clock_, {.lease = &lease_two_}));
  }
  // As the sessions of a server do when the node says hello.
  void connect(const std::string& server) {
    pb::Node node = *store_->snapshot()->find<pb::Node>("a");
    node.mutable_status()->mutable_agent()->set_server(server);
    put(node);
  }
  // Heartbeats of node a reach a server until it is healthy.
  bool becomes_healthy(HealthMonitor& monitor) {
    return advance_until(std::chrono::hours(1), [&] {
      monitor.heartbeat("a");
      return node().state() == pb::HEALTH_HEALTHY;
    });
  }
  // Whether it stays so for this long; `monitor`, if any, hears it.
  bool stays_healthy(Duration time, HealthMonitor* monitor) {
    for (Duration passed{0}; passed < time; passed += std::chrono::milliseconds(50)) {
      if (monitor != nullptr) monitor->heartbeat("a");
      clock_.advance(std::chrono::milliseconds(50));
      // Real time, for the threads of the monitors.
      system_clock().sleep_for(std::chrono::milliseconds(1), {});
      EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
      if (node().state() != pb::HEALTH_HEALTHY) return false;
    }
    return true;
  }
  bool goes_down() {
    return advance_until(std::chrono::hours(1), [&] { return node().state() == pb::HEALTH_DOWN; });
  }

  std::shared_ptr<Locked<FakeLease::World>> world_ = std::make_shared<Locked<FakeLease::World>>();
  FakeLease lease_one_{"one", world_};
  FakeLease lease_two_{"two", world_};
  std::unique_ptr<HealthMonitor> one_;
  std::unique_ptr<HealthMonitor> two_;
};

TEST_F(HealthOfServersTest, ANodeIsJudgedByTheServerThatHasItsStream) {
  connect("two");
  EXPECT_TRUE(becomes_healthy(*two_));
  EXPECT_TRUE(stays_healthy(std::chrono::seconds(20), two_.get())) << "the other one's silence";
  EXPECT_TRUE(goes_down());
}

TEST_F(HealthOfServersTest, TheHolderTakesUpTheNodesOfAServerThatDied) {
  connect("two");
  ASSERT_TRUE(becomes_healthy(*two_));
  two_.reset();
  world_->with([](FakeLease::World& world) { world.alive = {"one"}; });
  EXPECT_TRUE(stays_healthy(std::chrono::seconds(9), nullptr)) << "it has time to go elsewhere";
  EXPECT_TRUE(goes_down());
  connect("one");
  EXPECT_TRUE(becomes_healthy(*one_));
}

TEST_F(HealthOfServersTest, AHolderThatLearnsOfAllThatAtOnceGoesByWhatTheOtherFound) {
  one_.reset();
  two_.reset();
  const auto holder = std::move(
      *HealthMonitor::start(*store_, clock_, {.lease = &lease_one_, .has_thread = false}));
  connect("two");
  pb::Node found = *store_->snapshot()->find<pb::Node>("a");
  found.mutable_status()->mutable_health()->set_state(pb::HEALTH_HEALTHY);
  put(found);
  world_->with([](FakeLease::World& world) { world.alive = {"one"}; });
  for (int i = 0; i < 70; ++i) {
    holder->step();
    clock_.advance(std::chrono::milliseconds(200));
  }
  EXPECT_TRUE(store_->write("test", [](Transaction&) -> Status { return {}; }));
  EXPECT_EQ(node().state(), pb::HEALTH_DOWN);
}

TEST_F(HealthOfServersTest, AServerThatKnowsOfSilenceOnlyDoesNotWriteOverWhatOthersFound) {
  connect("two");
  ASSERT_TRUE(becomes_healthy(*two_));
  connect("one");  // the node went over
  ASSERT_TRUE(becomes_healthy(*one_));
  EXPECT_TRUE(stays_healthy(std::chrono::seconds(20), one_.get()));
}

}  // namespace
}  // namespace frameworks
