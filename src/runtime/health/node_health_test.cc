#include "runtime/health/node_health.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using Transitions = std::vector<HealthTransition>;

const MonoTime kStart{std::chrono::hours(1)};
MonoTime at(int ms) { return kStart + milliseconds(ms); }

// Ticks five times a second from (exclusive) `from` to (inclusive) `to`.
Transitions tick_through(NodeHealthTable& table, int from, int to) {
  Transitions out;
  for (int ms = from + 200; ms <= to; ms += 200)
    for (auto& transition : table.tick(at(ms))) out.push_back(transition);
  return out;
}

HealthTimes without_damping() {
  HealthTimes times;
  times.flaps.begin = 1e9;
  return times;
}

NodeHealthTable table_with(pb::Health state) {
  NodeHealthTable table(without_damping(), kStart);
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
            (Transitions{{"a", pb::HEALTH_SUSPECT, "no heartbeat for 1.6 s"},
                         {"a", pb::HEALTH_DOWN, "no heartbeat for 2.6 s"}}));
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
  EXPECT_EQ(tick_through(table, 0, 11'200), Transitions{});
  const Transitions late = tick_through(table, 11'200, 14'000);
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

// Heartbeats at arbitrary times, ticks every 200 ms.
RC_GTEST_PROP(NodeHealth, IsDownExactlyWhenSilentForSoManyIntervals, ()) {
  const auto gaps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(1, 8000));
  NodeHealthTable table = table_with(pb::HEALTH_UNKNOWN);
  int now = 0;
  int heard = 0;
  table.heartbeat("a", at(0));
  for (const int gap : gaps) {
    const int next = now + gap;
    for (int ms = now / 200 * 200 + 200; ms < next; ms += 200) {
      table.tick(at(ms));
      const int silence = ms - heard;
      const pb::Health expected = silence >= 2600   ? pb::HEALTH_DOWN
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
    now += 200;
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

// Five nodes that are healthy at 0 ms, with heartbeats each second unless told otherwise.
class FleetHealth : public ::testing::Test {
 protected:
  FleetHealth() {
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      table_.add(name, pb::HEALTH_UNKNOWN);
      table_.heartbeat(name, at(0));
    }
  }
  // Until `to`, all but `silent` are heard.
  Transitions run(int to, const std::set<std::string>& silent) {
    Transitions out;
    const auto add = [&](Transitions more) { out.insert(out.end(), more.begin(), more.end()); };
    while (now_ < to) {
      now_ += 200;
      if (now_ % 1000 == 0)
        for (const char* name : {"a", "b", "c", "d", "e"})
          if (!silent.contains(name)) add(table_.heartbeat(name, at(now_)));
      add(table_.tick(at(now_)));
    }
    return out;
  }
  static std::vector<std::string> states(const Transitions& all) {
    std::vector<std::string> out;
    for (const auto& one : all)
      out.push_back(one.node + (one.state == pb::HEALTH_DOWN      ? " down"
                                : one.state == pb::HEALTH_SUSPECT ? " suspect"
                                                                  : " healthy"));
    return out;
  }

  NodeHealthTable table_{HealthTimes{}, kStart};
  int now_ = 0;
};
using Strings = std::vector<std::string>;

TEST_F(FleetHealth, OneOfFiveThatVanishesIsDownWithinThreeSeconds) {
  EXPECT_EQ(states(run(2800, {"a"})), (Strings{"a suspect", "a down"}));
}

TEST_F(FleetHealth, TwoOfFiveThatVanishAtOnceAreHeldAndNotDown) {
  const Transitions all = run(50'000, {"a", "b"});
  EXPECT_EQ(states(all), (Strings{"a suspect", "b suspect", "a suspect", "b suspect"}));
  EXPECT_EQ(all.back().silence, Silence::kHeld);
  EXPECT_EQ(all.back().reason.find("held: no heartbeat for 2.6 s; 2 of 5 nodes"), 0u)
      << all.back().reason;
  EXPECT_EQ(table_.held(), 2);
}

TEST_F(FleetHealth, HeldNodesThatReturnAreHealthyAndNothingIsHeldAnyMore) {
  run(5000, {"a", "b"});
  EXPECT_EQ(states(run(8000, {})), (Strings{"a healthy", "b healthy"}));
  EXPECT_EQ(table_.held(), 0);
}

TEST_F(FleetHealth, WhenSoManyReturnThatAThirdIsNotMissingTheOthersAreGivenUp) {
  run(5000, {"a", "b"});
  EXPECT_EQ(states(run(8000, {"b"})), (Strings{"a healthy", "b down"}));
}

TEST_F(FleetHealth, HeldNodesThatPeersDoNotReachEitherAreGivenUpAfterAWhile) {
  run(5000, {"a", "b"});
  for (const std::string& name : table_.to_probe(at(now_), 10))
    table_.probed(name, "c", false, "", at(now_ + 1));
  EXPECT_EQ(run(50'000, {"a", "b"}), Transitions{});
  EXPECT_EQ(states(run(70'000, {"a", "b"})), (Strings{"a down", "b down"}));
}

TEST_F(FleetHealth, HeldNodesThatNobodyCanBeAskedAboutAreGivenUpMuchLater) {
  EXPECT_EQ(run(590'000, {"a", "b"}).size(), 4u);
  EXPECT_EQ(states(run(610'000, {"a", "b"})), (Strings{"a down", "b down"}));
}

TEST_F(FleetHealth, NodesThatVanishOneAfterTheOtherAreNoMassLoss) {
  run(2000, {});
  EXPECT_EQ(states(run(20'000, {"a"})), (Strings{"a suspect", "a down"}));
  EXPECT_EQ(states(run(40'000, {"a", "b"})), (Strings{"b suspect", "b down"}));
}

TEST_F(FleetHealth, NodesInMaintenanceDoNotCountForAMassLoss) {
  table_.set_maintained("a", true);
  EXPECT_EQ(states(run(4000, {"a", "b"})), (Strings{"a suspect", "b suspect", "a down", "b down"}));
}

TEST_F(FleetHealth, WhomAPeerReachesIsPartitionedAndKeepsItsPlace) {
  Transitions all;
  while (now_ < 30'000) {
    for (auto& one : run(now_ + 200, {"a"})) all.push_back(one);
    for (const std::string& name : table_.to_probe(at(now_), 10))
      for (auto& one : table_.probed(name, "c", true, "10.0.0.1:22 accepts connections", at(now_)))
        all.push_back(one);
  }
  EXPECT_EQ(states(all), (Strings{"a suspect", "a suspect"}));
  EXPECT_EQ(all.back().silence, Silence::kPartitioned);
  EXPECT_EQ(all.back().reason,
            "partitioned: no heartbeat for 2.6 s here; c reaches it (10.0.0.1:22 accepts "
            "connections)");
  // Then it dies for good.
  EXPECT_EQ(states(run(40'000, {"a"})), (Strings{"a down"}));
}

TEST_F(FleetHealth, WhomTheServerReachesHasASilentAgent) {
  run(1800, {"a"});
  for (const std::string& name : table_.to_probe(at(now_), 10)) {
    table_.probed(name, "", true, "10.0.0.1:22 accepts connections", at(now_));
    table_.probed(name, "c", true, "x", at(now_));
  }
  const Transitions all = run(3000, {"a"});
  ASSERT_EQ(states(all), (Strings{"a suspect"}));
  EXPECT_EQ(all[0].silence, Silence::kAgentOnly);
  EXPECT_EQ(all[0].reason,
            "agent silent: no heartbeat for 2.6 s; the server reaches it (10.0.0.1:22 accepts "
            "connections)");
}

TEST_F(FleetHealth, AnAnswerThatComesAfterTheVerdictCorrectsIt) {
  run(1800, {"a"});
  ASSERT_EQ(table_.to_probe(at(now_), 10), Strings{"a"});
  EXPECT_EQ(states(run(3000, {"a"})), (Strings{"a down"}));
  EXPECT_EQ(states(table_.probed("a", "c", true, "x", at(now_))), (Strings{"a suspect"}));
}

TEST_F(FleetHealth, AnAnswerAboutANodeThatWasHeardSinceSaysNothing) {
  run(1800, {"a"});
  ASSERT_EQ(table_.to_probe(at(now_), 10), Strings{"a"});
  table_.heartbeat("a", at(now_ + 10));
  EXPECT_EQ(table_.probed("a", "c", true, "x", at(now_ + 20)), Transitions{});
}

TEST_F(FleetHealth, SilentNodesAreLookedForOnceARound) {
  run(1800, {"a"});
  EXPECT_EQ(table_.to_probe(at(now_), 10), Strings{"a"});
  EXPECT_EQ(table_.to_probe(at(now_ + 100), 10), Strings{});
}

TEST_F(FleetHealth, ANodeThatFallsAgainAndAgainIsHeldBackUntilItIsCalm) {
  for (int i = 0; i < 3; ++i) {
    run(now_ + 4000, {"a"});
    run(now_ + 2000, {});
  }
  EXPECT_EQ(table_.state("a"), pb::HEALTH_DOWN) << "though it is heard";
  EXPECT_EQ(states(run(now_ + 60'000, {})), Strings{});
  EXPECT_EQ(states(run(now_ + 200'000, {})), (Strings{"a healthy"}));
}

TEST_F(FleetHealth, ALongerIntervalIsWaitedForAndAShorterOneHoldsFromTheNextHeartbeat) {
  table_.expect("a", std::chrono::seconds(5));
  EXPECT_EQ(run(5000, {"a"}), Transitions{});
  table_.heartbeat("a", at(5000));
  table_.expect("a", std::chrono::seconds(1));
  EXPECT_EQ(run(9000, {"a"}), Transitions{}) << "it may not know yet";
  table_.heartbeat("a", at(9000));
  EXPECT_EQ(states(run(12'000, {"a"})), (Strings{"a suspect", "a down"}));
}

}  // namespace
}  // namespace frameworks
