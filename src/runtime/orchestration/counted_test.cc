// Services with a count: where their instances go, that nothing moves without need, and why some go
// nowhere.
#include "runtime/orchestration/counted.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "runtime/orchestration/obstacle.h"
#include "runtime/orchestration/placement_plan.h"
#include "store/fake_transaction.h"

namespace frameworks {
namespace {

pb::Cluster cluster(const std::string& name, const std::string& region) {
  pb::Cluster out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_tier(pb::TIER_EDGE);
  out.mutable_spec()->set_region(region);
  return out;
}

pb::Node node(const std::string& name, const std::string& cluster, int64_t memory_mb = 0) {
  pb::Node out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_cluster(cluster);
  if (memory_mb != 0) out.mutable_spec()->mutable_size()->set_memory_mb(memory_mb);
  return out;
}

pb::Service service(const std::string& name, int count, int per_cluster = 0) {
  pb::Service out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->mutable_placement()->set_count(count);
  out.mutable_spec()->mutable_placement()->set_count_per_cluster(per_cluster);
  return out;
}

// Two regions: eu with clusters eu-a (3 nodes) and eu-b (1), us with us-a (2).
FakeTransaction demo() {
  FakeTransaction fleet;
  for (const auto& [name, region, nodes] :
       {std::tuple{"eu-a", "eu", 3}, {"eu-b", "eu", 1}, {"us-a", "us", 2}}) {
    fleet.put(cluster(name, region));
    for (int i = 1; i <= nodes; ++i) fleet.put(node(fmt::format("{}-{}", name, i), name));
  }
  return fleet;
}

std::set<std::string> nodes_of(const Snapshot& snapshot, const std::string& service) {
  std::set<std::string> out;
  for (const auto& instance : snapshot.find_by<pb::Instance>("service", service))
    out.insert(instance->spec().node());
  return out;
}

std::map<std::string, int> by_region(const Snapshot& snapshot, const std::string& service) {
  std::map<std::string, int> out;
  for (const std::string& name : nodes_of(snapshot, service))
    ++out[snapshot.find<pb::Cluster>(snapshot.find<pb::Node>(name)->spec().cluster())
              ->spec()
              .region()];
  return out;
}

void plan(FakeTransaction& fleet, const ResourceKey& changed) {
  ASSERT_TRUE(plan_instances(fleet, std::span(&changed, 1)));
}

TEST(Counted, InstancesAreSpreadOverRegionsThenClusters) {
  FakeTransaction fleet = demo();
  fleet.put(service("cache", 4));
  plan(fleet, {"Service", "", "cache"});
  EXPECT_EQ(by_region(fleet.snapshot(), "cache"), (std::map<std::string, int>{{"eu", 2}, {"us", 2}}));
  EXPECT_TRUE(nodes_of(fleet.snapshot(), "cache").contains("eu-b-1"));
  const auto* stored = fleet.snapshot().find<pb::Service>("cache");
  EXPECT_EQ(stored->status().wanted(), 4);
  EXPECT_EQ(stored->status().placed(), 4);
}

TEST(Counted, ACountForEachCluster) {
  FakeTransaction fleet = demo();
  fleet.put(service("relay", 0, 2));
  plan(fleet, {"Service", "", "relay"});
  EXPECT_EQ(nodes_of(fleet.snapshot(), "relay").size(), 5u);
  const auto* stored = fleet.snapshot().find<pb::Service>("relay");
  EXPECT_EQ(stored->status().wanted(), 6);
  EXPECT_EQ(stored->status().placed(), 5);
  fleet.put(node("eu-b-2", "eu-b"));
  plan(fleet, {"Node", "", "eu-b-2"});
  EXPECT_TRUE(nodes_of(fleet.snapshot(), "relay").contains("eu-b-2"));
}

TEST(Counted, ANewNodeMovesNothing) {
  FakeTransaction fleet = demo();
  fleet.put(service("cache", 3));
  plan(fleet, {"Service", "", "cache"});
  const auto before = nodes_of(fleet.snapshot(), "cache");
  fleet.put(node("us-a-3", "us-a"));
  plan(fleet, {"Node", "", "us-a-3"});
  EXPECT_EQ(nodes_of(fleet.snapshot(), "cache"), before);
}

TEST(Counted, ADrainedNodesInstanceMovesAndTheOthersStay) {
  FakeTransaction fleet = demo();
  fleet.put(service("cache", 3));
  plan(fleet, {"Service", "", "cache"});
  auto before = nodes_of(fleet.snapshot(), "cache");
  const std::string name = *before.begin();
  pb::Node drained = *fleet.snapshot().find<pb::Node>(name);
  drained.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  fleet.put(drained);
  plan(fleet, {"Node", "", name});
  const auto after = nodes_of(fleet.snapshot(), "cache");
  EXPECT_EQ(after.size(), 3u);
  EXPECT_FALSE(after.contains(name));
  before.erase(name);
  EXPECT_TRUE(std::includes(after.begin(), after.end(), before.begin(), before.end()));
}

TEST(Counted, ALowerCountTakesFromWhereThereAreMost) {
  FakeTransaction fleet = demo();
  fleet.put(service("cache", 5));
  plan(fleet, {"Service", "", "cache"});
  fleet.put(service("cache", 2));
  plan(fleet, {"Service", "", "cache"});
  EXPECT_EQ(by_region(fleet.snapshot(), "cache"), (std::map<std::string, int>{{"eu", 1}, {"us", 1}}));
}

TEST(Counted, WhatDoesNotFitSaysWhichConstraintAndHowCloseItCame) {
  FakeTransaction fleet;
  fleet.put(cluster("eu-a", "eu"));
  fleet.put(node("eu-a-1", "eu-a", 1024));
  fleet.put(node("eu-a-2", "eu-a", 4096));
  fleet.put(node("eu-a-3", "eu-a", 512));
  pb::Service big = service("big", 3);
  big.mutable_spec()->mutable_resources()->set_memory_mb(2048);
  const Snapshot before = fleet.snapshot();
  fleet.put(big);
  plan(fleet, {"Service", "", "big"});
  EXPECT_EQ(nodes_of(fleet.snapshot(), "big"), (std::set<std::string>{"eu-a-2"}));
  const char* why =
      "2 nodes excluded by memory (closest: eu-a-1 has 1024 of the 2048 MiB)";
  EXPECT_EQ(fleet.snapshot().find<pb::Service>("big")->status().unplaced_reason(), why);
  const auto steps = explain_placement(before, fleet.snapshot());
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].summary(), "run big on eu-a-2: one of 3, spread over regions");
  EXPECT_EQ(steps[1].action(), "unplaced");
  EXPECT_EQ(steps[1].summary(), std::string("1 of 3 placed: ") + why);
  EXPECT_TRUE(explain_placement(fleet.snapshot(), fleet.snapshot()).empty());
}

TEST(Counted, RoomThatBecomesFreeIsTaken) {
  FakeTransaction fleet;
  fleet.put(cluster("eu-a", "eu"));
  fleet.put(node("eu-a-1", "eu-a", 1024));
  for (const char* name : {"first", "second"}) {
    pb::Service one = service(name, 1);
    one.mutable_spec()->mutable_resources()->set_memory_mb(800);
    fleet.put(one);
    plan(fleet, {"Service", "", name});
  }
  EXPECT_TRUE(nodes_of(fleet.snapshot(), "second").empty());
  fleet.remove({"Service", "", "first"});
  plan(fleet, {"Service", "", "first"});
  EXPECT_EQ(nodes_of(fleet.snapshot(), "second"), (std::set<std::string>{"eu-a-1"}));
}

TEST(Counted, ServicesThatShareAPortOrAreToBeKeptApartShareNoNode) {
  FakeTransaction fleet = demo();
  for (const char* name : {"a", "b"}) {
    pb::Service one = service(name, 3);
    pb::Port& port = *one.mutable_spec()->add_ports();
    port.set_name("http");
    port.set_port(8080);
    port.set_protocol(pb::PROTOCOL_TCP);
    fleet.put(one);
    plan(fleet, {"Service", "", name});
  }
  pb::Service shy = service("shy", 6);
  shy.mutable_spec()->mutable_placement()->add_apart_from("a");
  fleet.put(shy);
  plan(fleet, {"Service", "", "shy"});
  std::set<std::string> all = nodes_of(fleet.snapshot(), "a");
  for (const std::string& name : nodes_of(fleet.snapshot(), "b"))
    EXPECT_TRUE(all.insert(name).second) << name;
  EXPECT_EQ(all.size(), 6u);
  EXPECT_EQ(nodes_of(fleet.snapshot(), "shy"), nodes_of(fleet.snapshot(), "b"));
}

// Whatever happens: what is planned step by step is what planning everything leaves alone; counts
// are kept where there is room; no node is over its size; and nothing leaves a node that may keep it.
TEST(Counted, AnyHistoryEndsWhereNothingIsLeftToDo) {
  EXPECT_TRUE(rc::check("counted placement", [] {
    FakeTransaction fleet = demo();
    const int steps = *rc::gen::inRange(1, 25);
    for (int i = 0; i < steps; ++i) {
      ResourceKey key{"Service", "", fmt::format("s{}", *rc::gen::inRange(0, 3))};
      switch (*rc::gen::inRange(0, 5)) {
        case 0:
          fleet.remove(key);
          break;
        case 1:
        case 2: {
          pb::Service one = *rc::gen::arbitrary<bool>()
                                ? service(key.name, *rc::gen::inRange(1, 7))
                                : service(key.name, 0, *rc::gen::inRange(0, 3));
          one.mutable_spec()->mutable_resources()->set_memory_mb(*rc::gen::inRange(0, 900));
          if (*rc::gen::inRange(0, 4) == 0)
            one.mutable_spec()->mutable_placement()->add_apart_from("s0");
          if (const auto* old = fleet.snapshot().find<pb::Service>(key.name))
            *one.mutable_status() = old->status();
          fleet.put(one);
          break;
        }
        case 3: {
          const std::string in = *rc::gen::element<std::string>("eu-a", "eu-b", "us-a");
          key = {"Node", "", fmt::format("{}-{}", in, *rc::gen::inRange(1, 5))};
          pb::Node one = node(key.name, in, *rc::gen::inRange(0, 2000));
          if (*rc::gen::inRange(0, 3) == 0)
            one.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
          fleet.put(one);
          break;
        }
        default:
          key = {"Node", "", fmt::format("eu-a-{}", *rc::gen::inRange(1, 5))};
          fleet.remove(key);
      }
      RC_ASSERT(plan_instances(fleet, std::span(&key, 1)).has_value());
      fleet.take_writes();
      RC_ASSERT(plan_instances(fleet).has_value());
      RC_ASSERT(fleet.take_writes() == 0u);
      for (const auto& one : fleet.snapshot().list<pb::Service>()) {
        const auto has = nodes_of(fleet.snapshot(), one->metadata().name());
        if (!is_counted(one->spec().placement())) continue;
        RC_ASSERT(static_cast<int>(has.size()) == one->status().placed());
        RC_ASSERT(one->status().placed() <= one->status().wanted());
      }
    }
  }));
}

}  // namespace
}  // namespace frameworks
