#include "runtime/orchestration/rollout_step.h"

#include <rapidcheck.h>

#include "runtime/orchestration/rollout_world.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

class RolloutSteps : public RolloutWorld {
 protected:
  RolloutSteps() {
    add_nodes("eu", 2);
    add_nodes("us", 1);
    add_service("media", "1");
  }
  // A batch that goes well, to the end of its gate.
  void finish_batch(const std::string& name = "media-1") {
    settle(name);
    configure();
    settle(name);
    pass(10s);
    settle(name);
  }
  static pb::RolloutStrategy with(const std::function<void(pb::RolloutStrategy&)>& set) {
    pb::RolloutStrategy strategy;
    set(strategy);
    return strategy;
  }
  Lines operations() {
    Lines out;
    for (const auto& operation : fleet_.snapshot().list<pb::Operation>()) {
      std::string nodes;
      for (const std::string& each : operation->spec().nodes())
        nodes += (nodes.empty() ? "" : ", ") + each;
      out.push_back(operation->metadata().name() + ": " + nodes);
    }
    return out;
  }
};

TEST_F(RolloutSteps, GoesFromTheCanaryOverItsRegionToTheOthersAndIsTheServicesVersionThen) {
  start("2");
  settle();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 1", "us-1 1"}));
  EXPECT_EQ(operations(), (Lines{"configure-1: eu-1"}));
  EXPECT_EQ(batches()[0], "canary eu: eu-1 configuring");
  configure();
  EXPECT_EQ(settle(), 10s);  // the gate
  EXPECT_EQ(batches()[0], "canary eu: eu-1 gate");
  pass(9s);
  settle();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 1", "us-1 1"}));
  pass(1s);
  settle();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 1"}));
  finish_batch();
  EXPECT_EQ(service_version(), "1");
  finish_batch();
  EXPECT_EQ(state(), "succeeded");
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 2"}));
  EXPECT_EQ(service_version(), "2");
  EXPECT_EQ(get().status().from_version(), "1");
  EXPECT_EQ(operations(), (Lines{"configure-1: eu-1", "configure-2: eu-2", "configure-3: us-1"}));
  // Nothing is left to do, by placement either.
  EXPECT_EQ(settle(), std::nullopt);
  place();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 2"}));
}

TEST_F(RolloutSteps, ACanaryThatIsNotHealthyWithinPatienceIsRolledBackAndNobodyElseIsTouched) {
  start("2");
  settle();
  configure();
  set_health("media.eu-1", pb::HEALTH_DOWN, "check http: status 500");
  EXPECT_EQ(settle(), 5min);
  pass(5min);
  settle();
  EXPECT_EQ(state(), "rolling-back");
  EXPECT_EQ(versions(), (Lines{"eu-1 1", "eu-2 1", "us-1 1"}));
  EXPECT_EQ(message(),
            "batch 1 (canary eu-1): not healthy after 5m: media.eu-1 is down: check http: "
            "status 500");
  configure();
  settle();  // healthy again only now
  EXPECT_EQ(state(), "rolling-back");
  set_health("media.eu-1", pb::HEALTH_HEALTHY);
  settle();
  EXPECT_EQ(state(), "rolled-back");
  EXPECT_EQ(operations(), (Lines{"configure-1: eu-1", "configure-2: eu-1"}));
  EXPECT_EQ(service_version(), "1");
  EXPECT_EQ(batches(),
            (Lines{"canary eu: eu-1 rolled-back", "eu: eu-2 pending", "us: us-1 pending"}));
}

TEST_F(RolloutSteps, AVersionThatCannotBeInstalledIsRolledBackAndSaysWhy) {
  start("9.9");
  settle();
  configure({{"eu-1", "task base : Install packages: no such version"}});
  settle();
  EXPECT_EQ(message(),
            "batch 1 (canary eu-1): eu-1: task base : Install packages: no such version");
  configure();
  settle();
  EXPECT_EQ(state(), "rolled-back");
  EXPECT_EQ(versions(), (Lines{"eu-1 1", "eu-2 1", "us-1 1"}));
}

TEST_F(RolloutSteps, EveryChangedBatchGoesBackTheBrokenOneFirst) {
  start("2");
  finish_batch();
  configure({{"eu-2", "broken"}});
  settle();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 1", "us-1 1"}));
  configure();
  settle();
  EXPECT_EQ(versions(), (Lines{"eu-1 1", "eu-2 1", "us-1 1"}));
  configure();
  settle();
  EXPECT_EQ(state(), "rolled-back");
}

TEST_F(RolloutSteps, AHealthGateThatIsBrokenBeginsAgain) {
  start("2");
  settle();
  configure();
  settle();
  pass(9s);
  set_health("media.eu-1", pb::HEALTH_DOWN, "flaps");
  settle();
  set_health("media.eu-1", pb::HEALTH_HEALTHY);
  pass(1s);
  EXPECT_EQ(settle(), 10s);
  EXPECT_EQ(batches()[0], "canary eu: eu-1 gate");
}

TEST_F(RolloutSteps, AFailureThatIsKeptStopsWhereItIs) {
  start("2", with([](auto& strategy) { strategy.set_keep_failed(true); }));
  settle();
  configure({{"eu-1", "broken"}});
  settle();
  EXPECT_EQ(state(), "failed");
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 1", "us-1 1"}));
  // Placement leaves it, until the service's own version is changed.
  place();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 1", "us-1 1"}));
  pb::Service service = *fleet_.snapshot().find<pb::Service>("media");
  service.mutable_spec()->set_version("3");
  fleet_.put(service);
  place();
  EXPECT_EQ(versions(), (Lines{"eu-1 3", "eu-2 3", "us-1 3"}));
}

TEST_F(RolloutSteps, PausedItEndsItsBatchAndBeginsNoOther) {
  start("2");
  settle();
  edit("media-1", [](auto& spec) { spec.set_paused(true); });
  finish_batch();
  EXPECT_EQ(state(), "paused");
  EXPECT_EQ(message(), "paused before batch 2 (eu-2)");
  pass(1h);
  settle();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 1", "us-1 1"}));
  edit("media-1", [](auto& spec) { spec.set_paused(false); });
  settle();
  EXPECT_EQ(state(), "running");
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 1"}));
}

TEST_F(RolloutSteps, AbortedItGoesBackAtOnce) {
  start("2");
  finish_batch();
  EXPECT_EQ(batches()[1], "eu: eu-2 configuring");
  edit("media-1", [](auto& spec) { spec.set_aborted(true); });
  settle();
  EXPECT_EQ(state(), "rolling-back");
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 1", "us-1 1"}));
  configure();
  settle();
  configure();
  settle();
  EXPECT_EQ(state(), "rolled-back");
  EXPECT_EQ(message(), "aborted");
  EXPECT_EQ(versions(), (Lines{"eu-1 1", "eu-2 1", "us-1 1"}));
}

TEST_F(RolloutSteps, AbortedBeforeItsTurnNothingHappens) {
  start("2");
  edit("media-1", [](auto& spec) { spec.set_aborted(true); });
  settle();
  EXPECT_EQ(state(), "rolled-back");
  EXPECT_TRUE(operations().empty());
}

TEST_F(RolloutSteps, GoingBackThatFailsStopsAndSaysBoth) {
  start("2");
  settle();
  configure({{"eu-1", "no such version"}});
  settle();
  configure({{"eu-1", "unreachable"}});
  settle();
  EXPECT_EQ(state(), "failed");
  EXPECT_EQ(message(),
            "batch 1 (canary eu-1): eu-1: no such version; going back to 1 failed at "
            "batch 1 (canary eu-1): eu-1: unreachable");
}

TEST_F(RolloutSteps, OneAtATimeAService) {
  start("2");
  settle();
  start("3");
  settle("media-2");
  EXPECT_EQ(state("media-2"), "pending");
  EXPECT_EQ(message("media-2"), "waits for rollout media-1 of the same service");
  for (int i = 0; i < 3; ++i) finish_batch();
  EXPECT_EQ(state(), "succeeded");
  settle("media-2");
  EXPECT_EQ(state("media-2"), "running");
  EXPECT_EQ(get("media-2").status().from_version(), "2");
}

TEST_F(RolloutSteps, RegionsBeginOneAfterTheOther) {
  start("2", with([](auto& strategy) { *strategy.mutable_region_stagger() = seconds_of(60); }));
  finish_batch();
  finish_batch();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 1"}));
  EXPECT_EQ(settle(), 60s);
  EXPECT_EQ(get().status().batches(2).message(), "region us begins 1m after eu");
  pass(60s);
  settle();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 2"}));
}

TEST_F(RolloutSteps, WhatFailedByItselfCountsAsAway) {
  start("2");
  set_health("media.us-1", pb::HEALTH_DOWN, "crashed");
  settle();
  EXPECT_EQ(batches()[0], "canary eu: eu-1 pending");
  EXPECT_EQ(get().status().batches(0).message(),
            "1 instance is away already (media.us-1), at most 1 may be");
  set_health("media.us-1", pb::HEALTH_HEALTHY);
  settle();
  EXPECT_EQ(batches()[0], "canary eu: eu-1 configuring");
}

TEST_F(RolloutSteps, WhereNothingWorksItTakesNothingAway) {
  for (const char* name : {"media.eu-1", "media.eu-2", "media.us-1"})
    set_health(name, pb::HEALTH_DOWN, "the old version is broken");
  start("2");
  settle();
  EXPECT_EQ(batches()[0], "canary eu: eu-1 configuring");
}

TEST_F(RolloutSteps, WhatItChangedAndThenBreaksTakesAllBack) {
  start("2");
  finish_batch();
  configure();
  settle();
  set_health("media.eu-1", pb::HEALTH_DOWN, "leaks");
  pass(10s);
  settle();  // batch 2 is done, batch 3 waits
  EXPECT_EQ(state(), "running");
  EXPECT_EQ(batches()[2], "us: us-1 pending");
  pass(5min);
  settle();
  EXPECT_EQ(state(), "rolling-back");
  EXPECT_EQ(message(), "batch 1 (canary eu-1): media.eu-1 was well and is down now: leaks");
}

TEST_F(RolloutSteps, ANodeThatIsOffIsNotWaitedForAndGetsTheVersionLater) {
  pb::Node off = node("eu-1");
  off.mutable_status()->mutable_machine()->set_state(pb::MACHINE_STATE_STOPPED);
  fleet_.put(off);
  set_health("media.eu-1", pb::HEALTH_DOWN, "node eu-1 is down");
  start("2");
  finish_batch();  // eu-2, the canary that works
  EXPECT_EQ(batches()[0], "canary eu: eu-2 done");
  EXPECT_EQ(batches()[1], "eu: eu-1 done");
  EXPECT_EQ(versions()[0], "eu-1 2");
  finish_batch();
  EXPECT_EQ(state(), "succeeded");
  EXPECT_EQ(operations(), (Lines{"configure-1: eu-2", "configure-2: us-1"}));
}

TEST_F(RolloutSteps, ANewInstanceHasTheLastGoodVersionAndComesLast) {
  start("2");
  finish_batch();
  add_node("us", "us-2");
  place();
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 1", "us-2 1"}));
  finish_batch();
  finish_batch();
  EXPECT_EQ(state(), "running");
  EXPECT_EQ(batches()[3], "us: us-2 configuring");
  finish_batch();
  EXPECT_EQ(state(), "succeeded");
  EXPECT_EQ(versions(), (Lines{"eu-1 2", "eu-2 2", "us-1 2", "us-2 2"}));
}

TEST_F(RolloutSteps, ANodeThatGoesIsNoObstacle) {
  start("2");
  finish_batch();
  finish_batch();
  fleet_.remove({"Node", "", "us-1"});
  place();
  configure();
  settle();
  EXPECT_EQ(state(), "succeeded");
}

TEST_F(RolloutSteps, AVersionThatIsChangedBesideItEndsIt) {
  start("2");
  settle();
  pb::Service service = *fleet_.snapshot().find<pb::Service>("media");
  service.mutable_spec()->set_version("7");
  fleet_.put(service);
  settle();
  EXPECT_EQ(state(), "failed");
  EXPECT_EQ(message(), "the version of media was changed beside it, to 7: it stops here");
}

TEST_F(RolloutSteps, NodesAreDrainedBeforeTheyAreChangedAndResumedWhenDone) {
  start("2", with([](auto& strategy) { *strategy.mutable_drain() = seconds_of(30); }));
  EXPECT_EQ(settle(), 30s);
  EXPECT_EQ(batches()[0], "canary eu: eu-1 draining");
  EXPECT_FALSE(takes_work(node("eu-1")));
  EXPECT_TRUE(keeps_instances(node("eu-1")));
  EXPECT_EQ(time_of(node("eu-1").spec().drain_deadline()), now_ + 30s);
  EXPECT_EQ(versions()[0], "eu-1 1");
  set_drain("eu-1", pb::DRAIN_STATE_WAITING, 2);
  settle();
  EXPECT_EQ(get().status().batches(0).message(), "eu-1 is being drained: 2 sessions are left");
  set_drain("eu-1", pb::DRAIN_STATE_DRAINED);
  settle();
  EXPECT_EQ(batches()[0], "canary eu: eu-1 configuring");
  EXPECT_FALSE(takes_work(node("eu-1")));
  configure();
  settle();
  pass(10s);
  settle();
  EXPECT_TRUE(takes_work(node("eu-1")));
  EXPECT_FALSE(node("eu-1").spec().has_drain_deadline());
  EXPECT_FALSE(takes_work(node("eu-2")));
}

TEST_F(RolloutSteps, ADrainThatDoesNotEndIsCutShort) {
  start("2", with([](auto& strategy) { *strategy.mutable_drain() = seconds_of(30); }));
  settle();
  set_drain("eu-1", pb::DRAIN_STATE_WAITING, 2);
  pass(30s);
  settle();
  EXPECT_EQ(batches()[0], "canary eu: eu-1 configuring");
}

TEST_F(RolloutSteps, WhatSomebodyDrainedStaysDrained) {
  pb::Node drained = node("eu-2");
  drained.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  drained.mutable_status()->mutable_drain()->set_state(pb::DRAIN_STATE_DRAINED);
  fleet_.put(drained);
  start("2", with([](auto& strategy) { *strategy.mutable_drain() = seconds_of(30); }));
  settle();
  set_drain("eu-1", pb::DRAIN_STATE_DRAINED);
  finish_batch();
  finish_batch();
  EXPECT_EQ(batches()[1], "eu: eu-2 done");
  EXPECT_FALSE(takes_work(node("eu-2")));
}

TEST_F(RolloutSteps, TheFleetsBudgetHoldsUpWhatWouldChangeTooMuchAtOnce) {
  add_service("cache", "1");
  start("2");
  start("2", {}, "cache");
  const DisruptionBudget one{.percent = 0, .nodes = 1};
  settle("media-1", one);
  settle("cache-1", one);
  EXPECT_EQ(
      get("cache-1").status().batches(0).message(),
      "other rollouts change 1 of the 1 nodes that may be changed at once (disruption budget 1)");
  configure();
  settle("media-1", one);
  edit("media-1", [](auto& spec) { spec.set_paused(true); });
  pass(10s);
  settle("media-1", one);
  settle("cache-1", one);
  EXPECT_EQ(word(get("cache-1").status().batches(0).state()), "configuring");
}

TEST_F(RolloutSteps, TwoRolloutsShareTheOperationThatWaitsAndFailAlone) {
  pb::Service cache;
  cache.mutable_metadata()->set_name("cache");
  cache.mutable_spec()->set_version("1");
  cache.mutable_spec()->mutable_placement()->add_regions("us");
  fleet_.put(cache);
  place();
  start("2");
  start("2", {}, "cache");
  settle("media-1");
  settle("cache-1");
  EXPECT_EQ(operations(), (Lines{"configure-1: eu-1, us-1"}));
  configure({{"us-1", "broken"}});
  settle("media-1");
  settle("cache-1");
  EXPECT_EQ(batches("media-1")[0], "canary eu: eu-1 gate");
  EXPECT_EQ(state("cache-1"), "rolling-back");
}

TEST_F(RolloutSteps, AnOperationThatIsForgottenIsAskedForAgain) {
  start("2");
  settle();
  fleet_.remove({"Operation", "", "configure-1"});
  settle();
  EXPECT_EQ(operations(), (Lines{"configure-1: eu-1"}));
  EXPECT_EQ(state(), "running");
}

TEST_F(RolloutSteps, TheNewestTenThatEndedAreKept) {
  for (int i = 0; i < 13; ++i) {
    const std::string name = start(fmt::format("v{}", i)).metadata().name();
    edit(name, [](auto& spec) { spec.set_aborted(true); });
    settle(name);
    pass(1s);
  }
  EXPECT_EQ(fleet_.snapshot().list<pb::Rollout>().size(), 10U);
  EXPECT_EQ(fleet_.snapshot().find<pb::Rollout>("media-3"), nullptr);
  EXPECT_NE(fleet_.snapshot().find<pb::Rollout>("media-13"), nullptr);
}

// Whatever happens on the way, and whoever takes the steps: it ends, and then all instances have
// one version, which is the service's.
TEST_F(RolloutSteps, AlwaysEndsInOneVersion) {
  rc::check([this] {
    fleet_ = FakeTransaction();
    now_ = kBegin;
    add_nodes("eu", *rc::gen::inRange(1, 4));
    add_nodes("us", *rc::gen::inRange(1, 4));
    add_service("media", "1");
    start("2", with([](auto& strategy) {
            strategy.set_canary(*rc::gen::inRange(0, 3));
            strategy.set_batch_size(*rc::gen::inRange(1, 3));
            strategy.set_max_unavailable(*rc::gen::inRange(1, 4));
            *strategy.mutable_drain() = seconds_of(*rc::gen::element(0, 20));
          }));
    for (int i = 0; i < 200 && !has_ended(get()); ++i) {
      settle();
      const auto all = fleet_.snapshot().list<pb::Node>();
      const std::string some =
          all[static_cast<size_t>(*rc::gen::inRange<int>(0, static_cast<int>(all.size())))]
              ->metadata()
              .name();
      switch (*rc::gen::inRange(0, 12)) {
        case 0:
          configure({{some, "fails"}});
          break;
        case 1:
          set_health("media." + some, pb::HEALTH_DOWN, "dies");
          break;
        case 2:
          edit("media-1", [](auto& spec) { spec.set_paused(!spec.paused()); });
          break;
        default:
          configure();
          pass(15s);
          for (const auto& instance : fleet_.snapshot().list<pb::Instance>())
            if (*rc::gen::inRange(0, 5) > 0)
              set_health(instance->metadata().name(), pb::HEALTH_HEALTHY);
      }
    }
    edit("media-1", [](auto& spec) { spec.set_paused(false); });
    for (int i = 0; i < 50 && !has_ended(get()); ++i) {
      for (const auto& instance : fleet_.snapshot().list<pb::Instance>())
        set_health(instance->metadata().name(), pb::HEALTH_HEALTHY);
      settle();
      configure();
      pass(30s);
    }
    RC_ASSERT(has_ended(get()));
    if (state() == "failed") return;  // going back failed, and it says so
    for (const std::string& line : versions())
      RC_ASSERT(line.substr(line.find(' ') + 1) == service_version());
    for (const auto& each : fleet_.snapshot().list<pb::Node>()) RC_ASSERT(takes_work(*each));
    RC_ASSERT(service_version() == (state() == "succeeded" ? "2" : "1"));
  });
}

}  // namespace
}  // namespace frameworks
