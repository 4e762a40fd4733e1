#include "runtime/health/node_health.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using Transitions = std::vector<HealthTransition>;

const MonoTime kStart{std::chrono::hours(1)};
MonoTime at(int ms) { return kStart + milliseconds(ms); }

// Ticks every quarter of a second from (exclusive) `from` to (inclusive) `to`.
Transitions tick_through(NodeHealthTable& table, int from, int to) {
  Transitions out;
  for (int ms = from + 250; ms <= to; ms += 250)
    for (auto& transition : table.tick(at(ms))) out.push_back(transition);
  return out;
}

NodeHealthTable table_with(pb::Health state) {
  NodeHealthTable table(HealthTimes{}, kStart);
  table.add("a", state);
  return table;
}

TEST(NodeHealth, ANodeNeverHeardStaysUnknown) {
  NodeHealthTable table = table_with(pb::HEALTH_UNSPECIFIED);
  EXPECT_EQ(tick_through(table, 0, 60'000), Transitions{});
  EXPECT_EQ(table.state("a"), pb::HEALTH_UNKNOWN);
}

TEST(NodeHealth, TheFirstHeartbeatMakesANodeHealthyOnce) {
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  EXPECT_EQ(table.heartbeat("a", at(10)),
            (Transitions{{"a", pb::HEALTH_HEALTHY, "heartbeats arrive"}}));
  EXPECT_EQ(table.heartbeat("a", at(1010)), Transitions{});
}

TEST(NodeHealth, SilenceMakesANodeSuspectThenDownThenNothingMore) {
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  table.heartbeat("a", at(0));
  EXPECT_EQ(tick_through(table, 0, 20'000),
            (Transitions{{"a", pb::HEALTH_SUSPECT, "no heartbeat for 1.5 s"},
                         {"a", pb::HEALTH_DOWN, "no heartbeat for 3.0 s"}}));
}

TEST(NodeHealth, ADownNodeComesBackByItself) {
  NodeHealthTable table = table_with(pb::HEALTH_DOWN);
  EXPECT_EQ(tick_through(table, 0, 5000), Transitions{});
  EXPECT_EQ(table.heartbeat("a", at(5000)).size(), 1u);
  EXPECT_EQ(table.state("a"), pb::HEALTH_HEALTHY);
}

TEST(NodeHealth, OneLateHeartbeatOnlyMakesSuspect) {
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  table.heartbeat("a", at(0));
  EXPECT_EQ(tick_through(table, 0, 2000).size(), 1u);
  EXPECT_EQ(table.heartbeat("a", at(2100)).size(), 1u);
  EXPECT_EQ(tick_through(table, 2000, 3500), Transitions{});
}

TEST(NodeHealth, AfterARestartAHealthyNodeHasTheGracePeriod) {
  NodeHealthTable table = table_with(pb::HEALTH_HEALTHY);
  EXPECT_EQ(tick_through(table, 0, 11'250), Transitions{});
  const Transitions late = tick_through(table, 11'250, 14'000);
  ASSERT_EQ(late.size(), 2u);
  EXPECT_EQ(late[1].state, pb::HEALTH_DOWN);
}

TEST(NodeHealth, AStalledObserverBlamesNobody) {
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  table.heartbeat("a", at(0));
  tick_through(table, 0, 1000);
  EXPECT_EQ(table.tick(at(31'000)), Transitions{});
  EXPECT_EQ(tick_through(table, 31'000, 33'500).back().state, pb::HEALTH_DOWN);
}

TEST(NodeHealth, AHeartbeatReadBeforeTheLateTickEarnsNoCredit) {
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  table.heartbeat("a", at(0));
  tick_through(table, 0, 1000);
  table.heartbeat("a", at(31'000));
  EXPECT_EQ(table.tick(at(31'000)), Transitions{});
  EXPECT_EQ(tick_through(table, 31'000, 34'000).back().state, pb::HEALTH_DOWN);
}

TEST(NodeHealth, ARemovedNodeIsForgotten) {
  NodeHealthTable table = table_with(pb::HEALTH_HEALTHY);
  table.remove("a");
  EXPECT_EQ(table.heartbeat("a", at(0)), Transitions{});
  EXPECT_EQ(tick_through(table, 0, 60'000), Transitions{});
  EXPECT_EQ(table.state("a"), pb::HEALTH_UNSPECIFIED);
}

// Heartbeats at arbitrary times, ticks every 250 ms.
RC_GTEST_PROP(NodeHealth, IsDownExactlyWhenSilentForThreeIntervals, ()) {
  const auto gaps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(1, 8000));
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  int now = 0;
  int heard = 0;
  table.heartbeat("a", at(0));
  for (const int gap : gaps) {
    const int next = now + gap;
    for (int ms = now / 250 * 250 + 250; ms < next; ms += 250) {
      table.tick(at(ms));
      const int silence = ms - heard;
      const pb::Health expected = silence >= 3000   ? pb::HEALTH_DOWN
                                  : silence >= 1500 ? pb::HEALTH_SUSPECT
                                                    : pb::HEALTH_HEALTHY;
      RC_ASSERT(table.state("a") == expected);
    }
    now = heard = next;
    table.heartbeat("a", at(now));
    RC_ASSERT(table.state("a") == pb::HEALTH_HEALTHY);
  }
}

RC_GTEST_PROP(NodeHealth, TellsTransitionsOnlyAndEachLeadsFromTheLast, ()) {
  const auto steps = *rc::gen::container<std::vector<bool>>(rc::gen::arbitrary<bool>());
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  pb::Health last = pb::HEALTH_UNKNOWN;
  int now = 0;
  for (const bool heartbeat : steps) {
    now += 250;
    Transitions told = table.tick(at(now));
    if (heartbeat)
      for (auto& transition : table.heartbeat("a", at(now))) told.push_back(transition);
    for (const auto& transition : told) {
      RC_ASSERT(transition.state != last);
      RC_ASSERT(!transition.reason.empty());
      last = transition.state;
    }
    RC_ASSERT(table.state("a") == last);
  }
}

}  // namespace
}  // namespace frameworks
