#include "runtime/orchestration/rollout_plan.h"

#include <rapidcheck.h>

#include <set>

#include "runtime/orchestration/rollout_explain.h"
#include "runtime/orchestration/rollout_world.h"

namespace frameworks {
namespace {

class RolloutPlan : public RolloutWorld {
 protected:
  Lines planned(const pb::Rollout& rollout) {
    Lines out;
    for (const pb::RolloutBatch& batch : plan_batches(fleet_.snapshot(), rollout))
      out.push_back(line(batch));
    return out;
  }
};

TEST_F(RolloutPlan, TheCanaryComesFirstThenItsRegionThenTheOthersByName) {
  add_nodes("eu", 2);
  add_nodes("us", 3);
  add_service("media", "1");
  EXPECT_EQ(planned(start("2")),
            (Lines{"canary eu: eu-1 pending", "eu: eu-2 pending", "us: us-1 pending",
                   "us: us-2 pending", "us: us-3 pending"}));
}

TEST_F(RolloutPlan, BatchesAreAsLargeAsAskedForAndOfOneRegion) {
  add_nodes("eu", 4);
  add_nodes("us", 3);
  add_service("media", "1");
  pb::RolloutStrategy strategy;
  strategy.set_batch_size(2);
  EXPECT_EQ(planned(start("2", strategy)),
            (Lines{"canary eu: eu-1 pending", "eu: eu-2, eu-3 pending", "eu: eu-4 pending",
                   "us: us-1, us-2 pending", "us: us-3 pending"}));
}

TEST_F(RolloutPlan, WithoutACanaryTheFirstBatchIsAsTheOthers) {
  add_nodes("eu", 3);
  add_service("media", "1");
  pb::RolloutStrategy strategy;
  strategy.set_canary(0);
  strategy.set_batch_size(5);
  EXPECT_EQ(planned(start("2", strategy)), (Lines{"eu: eu-1, eu-2, eu-3 pending"}));
}

TEST_F(RolloutPlan, NoBatchIsLargerThanWhatMayBeAway) {
  add_nodes("eu", 3);
  add_service("media", "1");
  pb::RolloutStrategy strategy;
  strategy.set_canary(0);
  strategy.set_batch_size(5);
  strategy.set_max_unavailable(2);
  EXPECT_EQ(planned(start("2", strategy)), (Lines{"eu: eu-1, eu-2 pending", "eu: eu-3 pending"}));
}

TEST_F(RolloutPlan, TheCanaryIsOneThatWorks) {
  add_nodes("eu", 1);
  add_nodes("us", 2);
  add_service("media", "1");
  set_health("media.eu-1", pb::HEALTH_DOWN);
  set_health("media.us-1", pb::HEALTH_DOWN);
  EXPECT_EQ(planned(start("2")),
            (Lines{"canary us: us-2 pending", "us: us-1 pending", "eu: eu-1 pending"}));
}

TEST_F(RolloutPlan, WhatHasTheVersionAlreadyIsLeftOut) {
  add_nodes("eu", 2);
  add_service("media", "1");
  pb::Instance instance = *fleet_.snapshot().find<pb::Instance>("media.eu-1");
  instance.mutable_spec()->set_version("2");
  fleet_.put(instance);
  EXPECT_EQ(planned(start("2")), (Lines{"canary eu: eu-2 pending"}));
}

TEST_F(RolloutPlan, WhatIsNotSetIsTheServicesThenTheDefault) {
  add_nodes("eu", 1);
  add_service("media", "1");
  pb::Service service = *fleet_.snapshot().find<pb::Service>("media");
  service.mutable_spec()->mutable_rollout()->set_batch_size(7);
  *service.mutable_spec()->mutable_rollout()->mutable_gate() = seconds_of(3);
  fleet_.put(service);
  pb::RolloutStrategy strategy;
  *strategy.mutable_gate() = seconds_of(0);
  const RolloutTerms terms = rollout_terms(fleet_.snapshot(), start("2", strategy));
  EXPECT_EQ(terms.batch_size, 7);
  EXPECT_EQ(terms.max_unavailable, 7);
  EXPECT_EQ(terms.gate, Duration::zero());
  EXPECT_EQ(terms.patience, std::chrono::minutes(5));
  EXPECT_EQ(terms.canary, 1);
}

TEST_F(RolloutPlan, EveryInstanceIsInOneBatchAndNoBatchIsTooLarge) {
  rc::check([this] {
    fleet_ = FakeTransaction();
    add_nodes("eu", *rc::gen::inRange(0, 6));
    add_nodes("us", *rc::gen::inRange(0, 6));
    add_nodes("ap", *rc::gen::inRange(1, 6));
    add_service("media", "1");
    pb::RolloutStrategy strategy;
    strategy.set_canary(*rc::gen::inRange(0, 4));
    strategy.set_batch_size(*rc::gen::inRange(1, 4));
    strategy.set_max_unavailable(*rc::gen::inRange(1, 4));
    std::multiset<std::string> seen;
    for (const auto& batch : plan_batches(fleet_.snapshot(), start("2", strategy))) {
      RC_ASSERT(batch.nodes_size() > 0);
      RC_ASSERT(batch.nodes_size() <= strategy.max_unavailable());
      if (!batch.canary()) RC_ASSERT(batch.nodes_size() <= strategy.batch_size());
      for (const auto& name : batch.nodes()) {
        RC_ASSERT(node(name).spec().cluster() == batch.region());
        seen.insert(name);
      }
    }
    std::multiset<std::string> all;
    for (const auto& each : fleet_.snapshot().list<pb::Node>()) all.insert(each->metadata().name());
    RC_ASSERT(seen == all);
  });
}

TEST_F(RolloutPlan, APlanTellsOfEachBatchAndOfAllThatIsReached) {
  add_nodes("eu", 1);
  add_nodes("us", 1);
  add_service("media", "1");
  pb::RolloutStrategy strategy;
  *strategy.mutable_region_stagger() = seconds_of(60);
  const pb::Plan plan = explain_rollout(fleet_.snapshot(), start("2", strategy));
  ASSERT_EQ(plan.steps_size(), 2);
  EXPECT_EQ(plan.steps(0).summary(),
            "canary 1: eu-1 in eu; healthy for 10s within 5m, or all goes back");
  EXPECT_EQ(plan.steps(1).summary(),
            "1m after eu: batch 2: us-1 in us; healthy for 10s within 5m, or all goes back");
  EXPECT_EQ(plan.blast_radius().nodes_size(), 2);
  EXPECT_EQ(plan.blast_radius().clusters_size(), 2);
}

}  // namespace
}  // namespace frameworks
