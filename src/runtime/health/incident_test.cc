#include <gtest/gtest.h>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/health/incident_keeper.h"
#include "runtime/health/incident_write.h"

namespace frameworks {
namespace {

using Strings = std::vector<std::string>;

// Two regions of two nodes, a third of one; "media" runs on all of them.
class IncidentTest : public ::testing::Test {
 protected:
  IncidentTest()
      : store_(std::move(*Store::open(std::move(*open_sqlite_log(":memory:")), clock_, {}))) {
    for (const char* region : {"eu", "us", "ap"}) {
      pb::Cluster cluster;
      cluster.mutable_metadata()->set_name(region);
      cluster.mutable_spec()->set_region(region);
      put(cluster);
    }
    for (const char* name : {"eu-1", "eu-2", "us-1", "us-2", "ap-1"}) {
      pb::Node node;
      node.mutable_metadata()->set_name(name);
      node.mutable_spec()->set_cluster(std::string(name).substr(0, 2));
      node.mutable_status()->mutable_health()->set_state(pb::HEALTH_HEALTHY);
      node.mutable_status()->mutable_configuration()->set_version("1");
      put(node);
      pb::Instance instance;
      instance.mutable_metadata()->set_name("media." + std::string(name));
      instance.mutable_spec()->set_service("media");
      instance.mutable_spec()->set_node(name);
      instance.mutable_status()->set_state(pb::HEALTH_HEALTHY);
      put(instance);
    }
    start();
  }

  void start() {
    keeper_ = std::move(*IncidentKeeper::start(*store_, clock_, {.has_thread = false}));
  }
  template <typename T>
  void put(const T& message) {
    ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
      transaction.put(message);
      return {};
    }));
  }
  void set_node(const std::string& name, pb::Health state, const std::string& reason = "why") {
    pb::Node node = *store_->snapshot()->find<pb::Node>(name);
    pb::NodeHealth& health = *node.mutable_status()->mutable_health();
    health.Clear();
    health.set_state(state);
    health.set_reason(reason);
    put(node);
    // As the monitor does.
    if (state == pb::HEALTH_DOWN || state == pb::HEALTH_HEALTHY)
      set_instance("media." + name, state);
  }
  // Suspect, and why it is not down.
  void set_silent(const std::string& name, void (pb::NodeHealth::*why)(bool)) {
    pb::Node node = *store_->snapshot()->find<pb::Node>(name);
    pb::NodeHealth& health = *node.mutable_status()->mutable_health();
    health.set_state(pb::HEALTH_SUSPECT);
    (health.*why)(true);
    put(node);
  }
  void set_instance(const std::string& name, pb::Health state) {
    pb::Instance instance = *store_->snapshot()->find<pb::Instance>(name);
    instance.mutable_status()->set_state(state);
    instance.mutable_status()->set_reason("why");
    put(instance);
  }
  // Three seconds.
  void pass() {
    for (int i = 0; i < 6; ++i) {
      keeper_->step();
      clock_.advance(std::chrono::milliseconds(500));
    }
    keeper_->step();
  }
  // "type object", with what is concerned.
  Strings open() const {
    Strings out;
    for (const auto& incident : open_incidents(*store_->snapshot())) {
      std::string text = incident->spec().type() + " " + incident->spec().object() + ":";
      for (const std::string& object : incident->status().objects()) text += " " + object;
      out.push_back(text);
    }
    return out;
  }
  std::vector<std::shared_ptr<const pb::Incident>> closed() const {
    return store_->snapshot()->find_by<pb::Incident>("state", "closed");
  }

  ManualClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<IncidentKeeper> keeper_;
};

TEST_F(IncidentTest, ADownNodeIsOneIncidentWithItsInstancesAndClosesByItself) {
  set_node("eu-1", pb::HEALTH_DOWN, "no heartbeat for 2.6 s");
  keeper_->step();
  EXPECT_EQ(open(), Strings{}) << "others may fall with it";
  pass();
  EXPECT_EQ(open(), Strings{"node-down Node/eu-1: Node/eu-1"});
  set_node("eu-1", pb::HEALTH_HEALTHY);
  pass();
  EXPECT_EQ(open(), Strings{});
  ASSERT_EQ(closed().size(), 1u);
  const pb::IncidentStatus& status = closed()[0]->status();
  EXPECT_TRUE(status.has_open_time() && status.has_close_time());
  ASSERT_EQ(status.timeline_size(), 4);
  EXPECT_EQ(status.timeline(0).message(), "opened: node eu-1 is down");
  EXPECT_EQ(status.timeline(1).message(), "no heartbeat for 2.6 s");
  EXPECT_EQ(status.timeline(3).message(), "closed: all of it is over");
}

TEST_F(IncidentTest, ARegionThatIsDownIsOneIncidentUntilAllOfItIsBack) {
  set_node("us-1", pb::HEALTH_DOWN);
  set_node("us-2", pb::HEALTH_DOWN);
  pass();
  EXPECT_EQ(open(), Strings{"node-down Region/us: Node/us-1 Node/us-2"});
  set_node("us-1", pb::HEALTH_HEALTHY);
  pass();
  EXPECT_EQ(open(), Strings{"node-down Region/us: Node/us-2"});
  set_node("us-2", pb::HEALTH_HEALTHY);
  pass();
  EXPECT_EQ(open(), Strings{});
  EXPECT_EQ(closed().size(), 1u);
}

TEST_F(IncidentTest, ANodesIncidentGoesOnAsItsRegions) {
  set_node("us-1", pb::HEALTH_DOWN);
  pass();
  set_node("us-2", pb::HEALTH_DOWN);
  pass();
  EXPECT_EQ(open(), Strings{"node-down Region/us: Node/us-1 Node/us-2"});
  ASSERT_EQ(closed().size(), 1u);
  EXPECT_EQ(closed()[0]->status().timeline().rbegin()->message(),
            "closed: goes on as node-down of Region/us");
}

TEST_F(IncidentTest, APartitionIsToldApart) {
  set_silent("eu-1", &pb::NodeHealth::set_partitioned);
  set_silent("eu-2", &pb::NodeHealth::set_agent_silent);
  set_node("us-1", pb::HEALTH_SUSPECT, "no heartbeat for 1.6 s");
  pass();
  EXPECT_EQ(open(),
            (Strings{"agent-silent Node/eu-2: Node/eu-2", "partition Node/eu-1: Node/eu-1"}));
}

TEST_F(IncidentTest, AMassLossIsOneIncidentAlsoOfThoseThatAreGivenUpLater) {
  set_silent("eu-1", &pb::NodeHealth::set_held);
  set_silent("us-1", &pb::NodeHealth::set_held);
  pass();
  EXPECT_EQ(open(), Strings{"mass-loss Fleet/all: Node/eu-1 Node/us-1"});
  set_node("eu-1", pb::HEALTH_DOWN);
  pass();
  start();  // another keeper
  pass();
  EXPECT_EQ(open(), Strings{"mass-loss Fleet/all: Node/eu-1 Node/us-1"});
  set_node("us-1", pb::HEALTH_HEALTHY);
  set_node("eu-1", pb::HEALTH_HEALTHY);
  pass();
  EXPECT_EQ(open(), Strings{});
}

TEST_F(IncidentTest, ARegionsMassLossNamesTheRegion) {
  set_silent("us-1", &pb::NodeHealth::set_held);
  set_silent("us-2", &pb::NodeHealth::set_held);
  pass();
  EXPECT_EQ(open(), Strings{"mass-loss Region/us: Node/us-1 Node/us-2"});
}

TEST_F(IncidentTest, NodesInMaintenanceMakeNone) {
  pb::Node node = *store_->snapshot()->find<pb::Node>("eu-1");
  node.mutable_spec()->set_availability(pb::AVAILABILITY_MAINTENANCE);
  put(node);
  set_node("eu-1", pb::HEALTH_DOWN);
  pass();
  EXPECT_EQ(open(), Strings{});
}

TEST_F(IncidentTest, AServiceIsDegradedUntilNoInstanceIsLeftThenItIsDown) {
  set_instance("media.eu-1", pb::HEALTH_DOWN);
  pass();
  EXPECT_EQ(open(), Strings{"service-degraded Service/media: Instance/media.eu-1"});
  for (const char* node : {"eu-2", "us-1", "us-2", "ap-1"})
    set_instance("media." + std::string(node), pb::HEALTH_DOWN);
  pass();
  ASSERT_EQ(open().size(), 1u);
  EXPECT_EQ(open()[0].find("service-down Service/media:"), 0u);
}

TEST_F(IncidentTest, WhatWasNeverInstalledMakesNone) {
  pb::Node node = *store_->snapshot()->find<pb::Node>("eu-1");
  node.mutable_status()->clear_configuration();
  put(node);
  set_instance("media.eu-1", pb::HEALTH_DOWN);
  pass();
  EXPECT_EQ(open(), Strings{});
}

TEST_F(IncidentTest, SaturationAndClocksAreToldOfNodesThatWork) {
  pb::Node node = *store_->snapshot()->find<pb::Node>("eu-1");
  node.mutable_status()->mutable_health()->set_state(pb::HEALTH_DEGRADED);
  node.mutable_status()->mutable_health()->set_reason("disk at 99 %, clock 86400 s ahead");
  node.mutable_status()->mutable_health()->set_clock_off(true);
  node.mutable_status()->mutable_health()->add_saturated("disk");
  put(node);
  pass();
  EXPECT_EQ(open(), (Strings{"clock Node/eu-1: Node/eu-1", "saturated Node/eu-1: Node/eu-1"}));
}

TEST_F(IncidentTest, AFailedRolloutIsOneUntilTheNextBegins) {
  pb::Rollout rollout;
  rollout.mutable_metadata()->set_name("media-2");
  rollout.mutable_spec()->set_service("media");
  rollout.mutable_spec()->set_version("2");
  rollout.mutable_status()->set_state(pb::ROLLOUT_STATE_FAILED);
  put(rollout);
  pass();
  EXPECT_EQ(open(), Strings{"rollout-failed Rollout/media-2: Rollout/media-2"});
  clock_.advance(std::chrono::minutes(10));
  pass();
  EXPECT_EQ(open().size(), 1u);
  rollout.mutable_metadata()->set_name("media-3");
  rollout.mutable_status()->set_state(pb::ROLLOUT_STATE_RUNNING);
  put(rollout);
  pass();
  EXPECT_EQ(open(), Strings{});
}

TEST_F(IncidentTest, TheTimelineAndWhatIsClosedAreBounded) {
  WantedIncidents wanted;
  WantedIncident& one = wanted[{"node-down", "Node/eu-1"}];
  one = {"node-down", "Node/eu-1", "cause", {}};
  const auto write = [&](const WantedIncidents& all) {
    ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
      write_incidents(transaction, all);
      return {};
    }));
  };
  for (int i = 0; i < kTimelineLines + 50; ++i) {
    one.concerned["Node/eu-1"] = "word " + std::to_string(i);
    write(wanted);
  }
  ASSERT_EQ(open_incidents(*store_->snapshot()).size(), 1u);
  EXPECT_EQ(open_incidents(*store_->snapshot())[0]->status().timeline_size(), kTimelineLines);
  for (size_t i = 0; i < kClosedKept + 20; ++i) {
    clock_.advance(std::chrono::seconds(1));
    write({});
    write(wanted);
  }
  EXPECT_EQ(closed().size(), kClosedKept);
}

TEST_F(IncidentTest, WhatIsLargerThanItsTimelineIsNotToldAgain) {
  WantedIncidents wanted;
  WantedIncident& loss = wanted[{"mass-loss", "Fleet/all"}];
  loss = {"mass-loss", "Fleet/all", "cause", {}};
  for (int i = 0; i < 2 * kTimelineLines; ++i)
    loss.concerned["Node/n" + std::to_string(i)] = "held";
  const auto write = [&] {
    ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
      write_incidents(transaction, wanted);
      return {};
    }));
  };
  write();
  const Revision before = store_->snapshot()->revision();
  write();
  EXPECT_EQ(store_->snapshot()->revision(), before);
  // Of n99, the last of them, the timeline still tells.
  loss.concerned["Node/n99"] = "no heartbeat for 70 s";
  write();
  EXPECT_EQ(open_incidents(*store_->snapshot())[0]->status().timeline().rbegin()->message(),
            "no heartbeat for 70 s");
}

TEST_F(IncidentTest, NothingIsWrittenWhileNothingChanges) {
  set_node("eu-1", pb::HEALTH_DOWN);
  pass();
  const Revision before = store_->snapshot()->revision();
  for (int i = 0; i < 10; ++i) pass();
  EXPECT_EQ(store_->snapshot()->revision(), before);
}

}  // namespace
}  // namespace frameworks
