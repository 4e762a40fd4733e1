#include "machine/provisioning/pool_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "base/ip.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "store/fake_transaction.h"

namespace frameworks {
namespace {

pb::Cluster cluster(const std::string& name, int number) {
  pb::Cluster out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_tier(pb::TIER_EDGE);
  out.mutable_spec()->set_region("eu-west");
  auto& networks = *out.mutable_spec()->mutable_networks();
  networks.set_machines(fmt::format("10.99.{}.0/24", number));
  networks.set_mesh(fmt::format("10.64.{}.0/24", number));
  networks.set_mesh6(fmt::format("fd66:7261:6d65:{}::/64", number));
  return out;
}

pb::MachinePool pool(const std::string& name, const std::string& cluster, int count) {
  pb::MachinePool out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_cluster(cluster);
  out.mutable_spec()->set_provider("local");
  out.mutable_spec()->set_count(count);
  out.mutable_spec()->mutable_size()->set_cpus(1);
  out.mutable_spec()->mutable_size()->set_memory_mb(512);
  return out;
}

pb::Node manual_node(const std::string& name, const std::string& cluster) {
  pb::Node out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_cluster(cluster);
  out.mutable_spec()->set_address("203.0.113.5");
  return out;
}

// "edge-1 10.99.4.1 10.64.4.1 fd66:7261:6d65:4::1", a line each.
std::vector<std::string> nodes(const Snapshot& snapshot) {
  std::vector<std::string> out;
  for (const auto& node : snapshot.list<pb::Node>())
    out.push_back(fmt::format("{} {} {} {}", node->metadata().name(), node->spec().address(),
                              node->spec().mesh_address(), node->spec().mesh_address6()));
  return out;
}

using Lines = std::vector<std::string>;

TEST(PoolPlan, GivesAPoolItsNodesWithAddressesThatMatchTheirNumbers) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  fleet.put(pool("edge", "edge", 2));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  EXPECT_EQ(nodes(fleet.snapshot()), (Lines{"edge-1 10.99.4.1 10.64.4.1 fd66:7261:6d65:4::1",
                                            "edge-2 10.99.4.2 10.64.4.2 fd66:7261:6d65:4::2"}));
  const auto* node = fleet.snapshot().find<pb::Node>("edge-1");
  EXPECT_EQ(node->spec().ssh_port(), 22);
  EXPECT_EQ(node->spec().pool(), "edge");
}

TEST(PoolPlan, ShrinkingGivesUpTheHighestNumbersAndGrowingTakesTheLowestFreeOnes) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  fleet.put(pool("edge", "edge", 3));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  fleet.put(pool("edge", "edge", 1));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  EXPECT_EQ(nodes(fleet.snapshot()), (Lines{"edge-1 10.99.4.1 10.64.4.1 fd66:7261:6d65:4::1"}));
  fleet.put(pool("edge", "edge", 2));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  EXPECT_EQ(nodes(fleet.snapshot()).size(), 2u);
  EXPECT_NE(fleet.snapshot().find<pb::Node>("edge-2"), nullptr);
}

TEST(PoolPlan, TwoPoolsOfAClusterShareItsNumbers) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  fleet.put(pool("big", "edge", 2));
  fleet.put(pool("small", "edge", 1));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  EXPECT_EQ(fleet.snapshot().find<pb::Node>("edge-1")->spec().pool(), "big");
  EXPECT_EQ(fleet.snapshot().find<pb::Node>("edge-2")->spec().pool(), "big");
  EXPECT_EQ(fleet.snapshot().find<pb::Node>("edge-3")->spec().pool(), "small");
}

TEST(PoolPlan, TheNodesOfAPoolThatIsGoneAreGone) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  fleet.put(pool("edge", "edge", 2));
  fleet.put(manual_node("edge-9", "edge"));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  fleet.remove({"MachinePool", "", "edge"});
  ASSERT_TRUE(plan_pool_nodes(fleet));
  EXPECT_EQ(nodes(fleet.snapshot()), (Lines{"edge-9 203.0.113.5 10.64.4.9 fd66:7261:6d65:4::9"}));
}

TEST(PoolPlan, NodesGoWithTheirPoolAlsoWhenTheClusterGoesToo) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  fleet.put(pool("edge", "edge", 2));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  fleet.remove({"MachinePool", "", "edge"});
  fleet.remove({"Cluster", "", "edge"});
  ASSERT_TRUE(plan_pool_nodes(fleet));
  EXPECT_TRUE(nodes(fleet.snapshot()).empty());
}

TEST(PoolPlan, ANodeListedByHandGetsMeshAddressesAndKeepsItsOwnAddress) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  fleet.put(manual_node("paris", "edge"));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  const auto* node = fleet.snapshot().find<pb::Node>("paris");
  EXPECT_EQ(node->spec().address(), "203.0.113.5");
  EXPECT_TRUE(
      Cidr::parse("10.64.4.0/24")->contains(*IpAddress::parse(node->spec().mesh_address())));
  EXPECT_TRUE(Cidr::parse("fd66:7261:6d65:4::/64")
                  ->contains(*IpAddress::parse(node->spec().mesh_address6())));
}

TEST(PoolPlan, ANodeGoesAroundAnAddressThatAnotherHas) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  pb::Node squatter = manual_node("squatter", "edge");
  squatter.mutable_spec()->set_mesh_address("10.64.4.1");
  fleet.put(squatter);
  fleet.put(pool("edge", "edge", 1));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  EXPECT_EQ(fleet.snapshot().find<pb::Node>("edge-1")->spec().mesh_address(), "10.64.4.2");
}

TEST(PoolPlan, ARangeWithoutRoomNamesThePoolAndTheRange) {
  FakeTransaction fleet;
  pb::Cluster small = cluster("edge", 4);
  small.mutable_spec()->mutable_networks()->set_mesh("10.64.4.0/30");
  fleet.put(small);
  fleet.put(pool("edge", "edge", 3));
  const Status status = plan_pool_nodes(fleet);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
  ASSERT_EQ(status.error().violations().size(), 1u);
  EXPECT_EQ(status.error().violations()[0].object, "MachinePool/edge");
  EXPECT_EQ(status.error().violations()[0].field, "spec.count");
  EXPECT_NE(status.error().violations()[0].message.find("10.64.4.0/30"), std::string::npos);
}

TEST(PoolPlan, ANodeThatWasDeletedByHandComesBackWhenItsPoolStillCountsIt) {
  FakeTransaction fleet;
  fleet.put(cluster("eu-edge", 4));
  fleet.put(pool("eu-edge", "eu-edge", 2));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  const Lines before = nodes(fleet.snapshot());
  const ResourceKey gone{"Node", "", "eu-edge-1"};
  fleet.remove(gone);
  ASSERT_TRUE(plan_pool_nodes(fleet, std::span(&gone, 1)));
  EXPECT_EQ(nodes(fleet.snapshot()), before);
}

TEST(PoolPlan, ExplainsWhatHappensToMachines) {
  FakeTransaction fleet;
  fleet.put(cluster("edge", 4));
  fleet.put(pool("edge", "edge", 2));
  ASSERT_TRUE(plan_pool_nodes(fleet));
  const Snapshot before = fleet.snapshot();
  pb::MachinePool bigger = pool("edge", "edge", 1);
  bigger.mutable_spec()->mutable_size()->set_memory_mb(1024);
  fleet.put(bigger);
  ASSERT_TRUE(plan_pool_nodes(fleet));
  const auto steps = explain_machines(before, fleet.snapshot());
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].action(), "update");
  EXPECT_EQ(steps[0].object(), "edge-1");
  ASSERT_EQ(steps[0].changes_size(), 1);
  EXPECT_EQ(steps[0].changes(0).field(), "memoryMb");
  EXPECT_EQ(steps[0].changes(0).after(), "1024");
  EXPECT_EQ(steps[1].action(), "delete");
  EXPECT_EQ(steps[1].object(), "edge-2");
  EXPECT_EQ(explain_machines({}, before)[0].summary(),
            "create machine edge-1: 1 core, 512 MiB, 10.99.4.1 in eu-west");
  EXPECT_TRUE(explain_machines(before, before).empty());
}

// Random edits of a fleet of three clusters.
struct Edits {
  FakeTransaction fleet;
  std::vector<ResourceKey> step() {
    const int number = *rc::gen::inRange(1, 4);
    const std::string name = fmt::format("c{}", number);
    switch (*rc::gen::inRange(0, 4)) {
      case 0: {
        const ResourceKey key{"MachinePool", "", name};
        fleet.remove(key);
        return {key};
      }
      case 1: {
        const std::string node = fmt::format("{}-{}", name, *rc::gen::inRange(1, 8));
        if (fleet.snapshot().find<pb::Node>(node) == nullptr) fleet.put(manual_node(node, name));
        return {{"Node", "", node}};
      }
      case 2: {
        const ResourceKey key{"Node", "", fmt::format("{}-{}", name, *rc::gen::inRange(1, 8))};
        fleet.remove(key);
        return {key};
      }
      default:
        fleet.put(pool(name, name, *rc::gen::inRange(0, 6)));
        return {{"MachinePool", "", name}};
    }
  }
};

TEST(PoolPlan, ASecondRunWritesNothingAndDeltasReachTheSameFleet) {
  EXPECT_TRUE(rc::check("pool plan", [] {
    Edits edits;
    for (int i = 1; i <= 3; ++i) edits.fleet.put(cluster(fmt::format("c{}", i), i));
    const int count = *rc::gen::inRange(1, 12);
    for (int i = 0; i < count; ++i) {
      const auto before = edits.fleet.snapshot();
      const auto changed = edits.step();
      FakeTransaction whole(edits.fleet.snapshot());
      RC_ASSERT(plan_pool_nodes(whole).has_value());
      RC_ASSERT(plan_pool_nodes(edits.fleet, changed).has_value());
      RC_ASSERT(nodes(edits.fleet.snapshot()) == nodes(whole.snapshot()));
      edits.fleet.take_writes();
      RC_ASSERT(plan_pool_nodes(edits.fleet).has_value());
      RC_ASSERT(edits.fleet.take_writes() == 0u);
      // Whoever stays keeps its addresses; nobody shares one.
      std::map<std::string, std::string> owners;
      for (const auto& node : edits.fleet.snapshot().list<pb::Node>()) {
        RC_ASSERT(owners.emplace(node->spec().mesh_address(), node->metadata().name()).second);
        const auto* old_node = before.find<pb::Node>(node->metadata().name());
        if (old_node != nullptr && old_node->spec().pool() == node->spec().pool())
          RC_ASSERT(old_node->spec().mesh_address() == node->spec().mesh_address());
      }
    }
  }));
}

}  // namespace
}  // namespace frameworks
