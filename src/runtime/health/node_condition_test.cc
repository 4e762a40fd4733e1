#include "runtime/health/node_condition.h"

#include <gtest/gtest.h>

#include <limits>

namespace frameworks {
namespace {

const WallTime kNow{std::chrono::seconds(1'700'000'000)};
using Strings = std::vector<std::string>;

pb::Heartbeat loaded(double cpu, double disk = 0, double mbps = 0) {
  pb::Heartbeat out;
  out.mutable_load()->set_cpu(cpu);
  out.mutable_load()->set_disk(disk);
  out.mutable_load()->set_sent_mbps(mbps);
  return out;
}
pb::Heartbeat at(int64_t seconds) {
  pb::Heartbeat out;
  out.mutable_time()->set_seconds(1'700'000'000 + seconds);
  return out;
}
// How often something was to be told.
int take(NodeCondition& condition, const pb::Heartbeat& heartbeat, int times, double mbps = 0) {
  int told = 0;
  for (int i = 0; i < times; ++i) told += condition.take(heartbeat, mbps, kNow) ? 1 : 0;
  return told;
}

TEST(NodeCondition, ThreeInARowAreSaturationAndBetweenTheLimitsNothingChanges) {
  NodeCondition condition;
  EXPECT_EQ(take(condition, loaded(0.99), 2), 0);
  EXPECT_EQ(take(condition, loaded(0.5), 1), 0);
  EXPECT_EQ(take(condition, loaded(0.99), 2), 0);
  EXPECT_EQ(take(condition, loaded(0.97), 1), 1);
  EXPECT_EQ(condition.saturated(), Strings{"cpu"});
  EXPECT_EQ(condition.complaint(), "cpu at 97 %");
  EXPECT_EQ(take(condition, loaded(0.90), 100), 0) << "neither used up nor free";
  EXPECT_EQ(take(condition, loaded(0.5), 4), 0);
  EXPECT_EQ(take(condition, loaded(0.5), 1), 1);
  EXPECT_EQ(condition.saturated(), Strings{});
  EXPECT_EQ(condition.complaint(), "");
}

TEST(NodeCondition, BandwidthIsAShareOfWhatTheMachineCanSend) {
  NodeCondition condition;
  EXPECT_EQ(take(condition, loaded(0, 0, 950), 10), 0) << "not known how much it can";
  EXPECT_EQ(take(condition, loaded(0, 0.99, 950), 3, 1000), 1);
  EXPECT_EQ(condition.saturated(), (Strings{"disk", "bandwidth"}));
}

TEST(NodeCondition, NonsenseSaysNothing) {
  NodeCondition condition;
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -5.0})
    EXPECT_EQ(take(condition, loaded(value), 10), 0);
  EXPECT_EQ(take(condition, loaded(1e300), 3), 1);
  EXPECT_EQ(condition.complaint(), "cpu at 999 %");
}

TEST(NodeCondition, AClockThatIsADayOffIsToldUntilItIsRight) {
  NodeCondition condition;
  EXPECT_EQ(take(condition, at(20), 10), 0);
  EXPECT_EQ(take(condition, at(-86'400), 3), 1);
  EXPECT_EQ(condition.complaint(), "clock 86400 s behind");
  EXPECT_EQ(take(condition, at(20), 10), 0) << "better, not right";
  EXPECT_EQ(take(condition, at(1), 5), 1);
  EXPECT_FALSE(condition.has_wrong_clock());
  EXPECT_EQ(take(condition, at(std::numeric_limits<int64_t>::max() / 2), 3), 1);
}

TEST(NodeCondition, WhatAnEarlierObserverToldIsTakenBackWhenItIsOver) {
  NodeCondition condition;
  pb::NodeHealth health;
  health.add_saturated("memory");
  condition.restore(health);
  EXPECT_EQ(condition.saturated(), Strings{"memory"});
  EXPECT_EQ(condition.complaint(), "memory is used up");
  EXPECT_EQ(take(condition, loaded(0), 5), 1);
  EXPECT_EQ(condition.saturated(), Strings{});
  pb::NodeHealth late;
  late.set_clock_off(true);
  condition.restore(late);
  EXPECT_EQ(condition.complaint(), "clock is wrong");
  EXPECT_EQ(take(condition, at(1), 5), 1);
  EXPECT_EQ(condition.complaint(), "");
}

}  // namespace
}  // namespace frameworks
