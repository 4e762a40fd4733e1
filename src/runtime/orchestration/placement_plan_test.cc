#include "runtime/orchestration/placement_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "frameworks/v1/cluster.pb.h"
#include "runtime/orchestration/obstacle.h"
#include "store/fake_transaction.h"

namespace frameworks {
namespace {

using Lines = std::vector<std::string>;

pb::Cluster cluster(const std::string& name, pb::Tier tier, const std::string& region) {
  pb::Cluster out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_tier(tier);
  out.mutable_spec()->set_region(region);
  return out;
}

pb::Node node(const std::string& name, const std::string& cluster) {
  pb::Node out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_cluster(cluster);
  return out;
}

pb::Service service(const std::string& name, std::vector<pb::Tier> tiers = {}) {
  pb::Service out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_role(name);
  for (const pb::Tier tier : tiers) out.mutable_spec()->mutable_placement()->add_tiers(tier);
  return out;
}

Lines instances(const Snapshot& snapshot) {
  Lines out;
  for (const auto& instance : snapshot.list<pb::Instance>())
    out.push_back(instance->spec().version().empty()
                      ? instance->metadata().name()
                      : instance->metadata().name() + " " + instance->spec().version());
  return out;
}

FakeTransaction demo() {
  FakeTransaction fleet;
  fleet.put(cluster("core", pb::TIER_CENTRAL, "eu-west"));
  fleet.put(cluster("us-edge", pb::TIER_EDGE, "us-east"));
  fleet.put(node("core-1", "core"));
  fleet.put(node("us-edge-1", "us-edge"));
  fleet.put(service("exporter"));
  fleet.put(service("media", {pb::TIER_EDGE}));
  return fleet;
}

TEST(Placement, AServiceWithoutAPlacementRunsEverywhereAndOthersWhereTheirTierIs) {
  FakeTransaction fleet = demo();
  ASSERT_TRUE(plan_instances(fleet));
  EXPECT_EQ(instances(fleet.snapshot()),
            (Lines{"exporter.core-1", "exporter.us-edge-1", "media.us-edge-1"}));
}

TEST(Placement, AllThatAPlacementSetsMustHold) {
  FakeTransaction fleet = demo();
  const auto obstacle = [&](const pb::Service& service) -> std::string {
    const auto found = selector_obstacle(fleet.snapshot(), service,
                                         *fleet.snapshot().find<pb::Node>("us-edge-1"));
    return found ? found->message : "";
  };
  pb::Service any = service("any");
  pb::Placement& placement = *any.mutable_spec()->mutable_placement();
  EXPECT_EQ(obstacle(any), "");
  placement.add_tiers(pb::TIER_EDGE);
  placement.add_regions("us-east");
  EXPECT_EQ(obstacle(any), "");
  placement.add_clusters("eu-edge");
  EXPECT_EQ(obstacle(any), "is of us-edge");
  placement.add_clusters("us-edge");
  EXPECT_EQ(obstacle(any), "");
  (*placement.mutable_labels())["disk"] = "ssd";
  EXPECT_EQ(obstacle(any), "has no label disk");
}

TEST(Placement, ANodesLabelsGoBeforeItsClusters) {
  FakeTransaction fleet = demo();
  pb::Cluster edge = cluster("us-edge", pb::TIER_EDGE, "us-east");
  (*edge.mutable_metadata()->mutable_labels())["disk"] = "ssd";
  fleet.put(edge);
  pb::Node slow = node("us-edge-2", "us-edge");
  (*slow.mutable_metadata()->mutable_labels())["disk"] = "hdd";
  fleet.put(slow);
  pb::Service fast = service("fast");
  (*fast.mutable_spec()->mutable_placement()->mutable_labels())["disk"] = "ssd";
  fleet.put(fast);
  ASSERT_TRUE(plan_instances(fleet));
  const Lines all = instances(fleet.snapshot());
  EXPECT_TRUE(std::count(all.begin(), all.end(), "fast.us-edge-1") == 1);
  EXPECT_TRUE(std::count(all.begin(), all.end(), "fast.us-edge-2") == 0);
}

TEST(Placement, InstancesGoWithTheirServiceAndWithTheirNode) {
  FakeTransaction fleet = demo();
  ASSERT_TRUE(plan_instances(fleet));
  const std::vector<ResourceKey> gone{{"Service", "", "media"}, {"Node", "", "core-1"}};
  for (const ResourceKey& key : gone) fleet.remove(key);
  ASSERT_TRUE(plan_instances(fleet, gone));
  EXPECT_EQ(instances(fleet.snapshot()), (Lines{"exporter.us-edge-1"}));
}

TEST(Placement, AnotherVersionKeepsTheInstancesStatus) {
  FakeTransaction fleet = demo();
  ASSERT_TRUE(plan_instances(fleet));
  pb::Instance seen = *fleet.snapshot().find<pb::Instance>("media.us-edge-1");
  seen.mutable_status()->set_state(pb::HEALTH_HEALTHY);
  fleet.put(seen);
  pb::Service newer = service("media", {pb::TIER_EDGE});
  newer.mutable_spec()->set_version("1.22");
  fleet.put(newer);
  ASSERT_TRUE(plan_instances(fleet));
  const auto* now = fleet.snapshot().find<pb::Instance>("media.us-edge-1");
  EXPECT_EQ(now->spec().version(), "1.22");
  EXPECT_EQ(now->status().state(), pb::HEALTH_HEALTHY);
}

TEST(Placement, ExplainsWhatRunsAndStopsAndChanges) {
  FakeTransaction fleet = demo();
  ASSERT_TRUE(plan_instances(fleet));
  const Snapshot before = fleet.snapshot();
  pb::Service newer = service("exporter");
  newer.mutable_spec()->set_version("1.5");
  newer.mutable_spec()->mutable_placement()->add_tiers(pb::TIER_CENTRAL);
  fleet.put(newer);
  fleet.put(service("redis", {pb::TIER_CENTRAL}));
  ASSERT_TRUE(plan_instances(fleet));
  Lines lines;
  for (const pb::PlanStep& step : explain_placement(before, fleet.snapshot()))
    lines.push_back(step.action() + ": " + step.summary());
  EXPECT_EQ(lines,
            (Lines{"update: change exporter on core-1 from the distribution's version to 1.5",
                   "delete: stop exporter on us-edge-1: the node is edge",
                   "create: run redis on core-1"}));
  EXPECT_TRUE(explain_placement(before, before).empty());
}

TEST(Placement, ASecondRunWritesNothingAndDeltasReachTheSameInstances) {
  EXPECT_TRUE(rc::check("placement", [] {
    FakeTransaction fleet;
    const std::vector<pb::Tier> tiers{pb::TIER_CENTRAL, pb::TIER_REGIONAL, pb::TIER_EDGE};
    const int count = *rc::gen::inRange(1, 20);
    for (int i = 0; i < count; ++i) {
      const int id = *rc::gen::inRange(0, 4);
      const pb::Tier tier = tiers[*rc::gen::inRange<size_t>(0, tiers.size())];
      ResourceKey key{"Cluster", "", fmt::format("c{}", id)};
      switch (*rc::gen::inRange(0, 6)) {
        case 0:
          fleet.put(cluster(key.name, tier, "eu"));
          break;
        case 1:
          key = {"Node", "", fmt::format("n{}", id)};
          fleet.put(node(key.name, fmt::format("c{}", *rc::gen::inRange(0, 4))));
          break;
        case 2:
          key = {"Node", "", fmt::format("n{}", id)};
          fleet.remove(key);
          break;
        case 3:
          key = {"Service", "", fmt::format("s{}", id)};
          fleet.remove(key);
          break;
        case 4:
          fleet.remove(key);
          break;
        default:
          key = {"Service", "", fmt::format("s{}", id)};
          fleet.put(service(key.name, {tier}));
      }
      FakeTransaction whole(fleet.snapshot());
      RC_ASSERT(plan_instances(whole).has_value());
      RC_ASSERT(plan_instances(fleet, std::span(&key, 1)).has_value());
      RC_ASSERT(instances(fleet.snapshot()) == instances(whole.snapshot()));
      fleet.take_writes();
      RC_ASSERT(plan_instances(fleet).has_value());
      RC_ASSERT(fleet.take_writes() == 0u);
    }
  }));
}

}  // namespace
}  // namespace frameworks
