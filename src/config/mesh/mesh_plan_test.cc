#include "config/mesh/mesh_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "config/mesh/fleet_builder.h"

namespace frameworks {
namespace {

// "eu-regional-1 10.64.2.1/32 fd00:2::1/128 …", a line a peer.
std::string plan_text(const Snapshot& snapshot, const std::string& node) {
  std::string out;
  const pb::MeshSection section = plan_mesh(snapshot, *snapshot.find<pb::Node>(node));
  for (const auto& peer : section.peers())
    out += fmt::format("{} {}\n", peer.node(), fmt::join(peer.allowed_ips(), " "));
  return out;
}

std::vector<std::string> names_on(const Snapshot& snapshot, const std::string& node) {
  std::vector<std::string> out;
  const pb::NamesSection section = plan_names(snapshot, *snapshot.find<pb::Node>(node));
  for (const auto& record : section.records())
    out.push_back(fmt::format("{} {}", record.address(), fmt::join(record.names(), " ")));
  return out;
}

TEST(MeshPlan, AnEdgePeersWithItsRegionAndCentralAndReachesTheRestThroughItsGateway) {
  EXPECT_EQ(plan_text(two_regions().snapshot(), "eu-edge-1"),
            "core-1 10.64.1.1/32 fd00:1::1/128\n"
            "eu-regional-1 10.64.2.1/32 fd00:2::1/128 10.64.5.0/24 fd00:5::/64 10.64.3.0/24 "
            "fd00:3::/64\n");
}

TEST(MeshPlan, ARegionalNodeReachesForeignEdgesThroughTheirGateway) {
  EXPECT_EQ(plan_text(two_regions().snapshot(), "eu-regional-1"),
            "core-1 10.64.1.1/32 fd00:1::1/128\n"
            "eu-edge-1 10.64.4.1/32 fd00:4::1/128\n"
            "us-regional-1 10.64.3.1/32 fd00:3::1/128 10.64.5.0/24 fd00:5::/64\n");
}

TEST(MeshPlan, ACentralNodePeersWithEverybody) {
  EXPECT_EQ(plan_text(two_regions().snapshot(), "core-1"),
            "eu-edge-1 10.64.4.1/32 fd00:4::1/128\n"
            "eu-regional-1 10.64.2.1/32 fd00:2::1/128\n"
            "us-edge-1 10.64.5.1/32 fd00:5::1/128\n"
            "us-regional-1 10.64.3.1/32 fd00:3::1/128\n");
}

TEST(MeshPlan, ANodeWithoutAKeyIsNobodysPeerAndHasNone) {
  FleetBuilder fleet;
  fleet.cluster("core", pb::TIER_CENTRAL, "eu").node(1);
  fleet.cluster("edge", pb::TIER_EDGE, "eu").node(1, Joined::kNo).node(2);
  const Snapshot snapshot = fleet.snapshot();
  EXPECT_EQ(plan_text(snapshot, "core-1"), "edge-2 10.64.2.2/32 fd00:2::2/128\n");
  EXPECT_EQ(plan_text(snapshot, "edge-1"), "");
  const auto waiting = plan_mesh(snapshot, *snapshot.find<pb::Node>("edge-1"));
  EXPECT_EQ(fmt::format("{}", fmt::join(waiting.addresses(), " ")), "10.64.2.1/32 fd00:2::1/128");
}

TEST(MeshPlan, WithoutRegionalNodesTheCentralOnesRelay) {
  FleetBuilder fleet;
  fleet.cluster("core", pb::TIER_CENTRAL, "eu").node(1);
  fleet.cluster("eu-edge", pb::TIER_EDGE, "eu").node(1);
  fleet.cluster("us-edge", pb::TIER_EDGE, "us").node(1);
  EXPECT_EQ(plan_text(fleet.snapshot(), "eu-edge-1"),
            "core-1 10.64.1.1/32 fd00:1::1/128 10.64.3.0/24 fd00:3::/64\n");
}

TEST(MeshPlan, EndpointsAreTheNodesOwnAddressAndPort) {
  FleetBuilder fleet = two_regions();
  Snapshot snapshot = fleet.snapshot();
  pb::Node core = *snapshot.find<pb::Node>("core-1");
  core.mutable_spec()->set_address("2001:db8::1");
  core.mutable_spec()->set_wireguard_port(4500);
  snapshot.put(Resource::of(core));
  const auto section = plan_mesh(snapshot, *snapshot.find<pb::Node>("us-edge-1"));
  EXPECT_EQ(section.listen_port(), 51820);
  EXPECT_EQ(section.peers(0).endpoint(), "[2001:db8::1]:4500");
  EXPECT_EQ(section.peers(1).endpoint(), "10.99.3.1:51820");
  EXPECT_EQ(section.peers(0).public_key(), FleetBuilder::key_of("core-1"));
  EXPECT_EQ(plan_mesh(snapshot, core).listen_port(), 4500);
}

TEST(MeshPlan, OnlyMachinesOfCustomersKeepTheirWayInOpen) {
  Snapshot snapshot = two_regions().snapshot();
  pb::Cluster edge = *snapshot.find<pb::Cluster>("eu-edge");
  edge.mutable_spec()->set_sharing(pb::SHARING_CUSTOMER_MANAGED);
  snapshot.put(Resource::of(edge));
  const auto customer = plan_mesh(snapshot, *snapshot.find<pb::Node>("eu-edge-1"));
  for (const auto& peer : customer.peers())
    EXPECT_EQ(peer.persistent_keepalive(), 25) << peer.node();
  const auto core = plan_mesh(snapshot, *snapshot.find<pb::Node>("core-1"));
  for (const auto& peer : core.peers()) EXPECT_EQ(peer.persistent_keepalive(), 0) << peer.node();
}

TEST(MeshPlan, PeersGrowWithTheNeighbourhoodNotWithTheFleet) {
  FleetBuilder fleet = two_regions();
  const int before =
      plan_mesh(fleet.snapshot(), *fleet.snapshot().find<pb::Node>("eu-edge-1")).peers_size();
  for (int i = 0; i < 20; ++i) {
    fleet.cluster(fmt::format("more-{}", i), pb::TIER_EDGE, "us-east");
    for (int n = 1; n <= 5; ++n) fleet.node(n);
  }
  const Snapshot grown = fleet.snapshot();
  EXPECT_EQ(plan_mesh(grown, *grown.find<pb::Node>("eu-edge-1")).peers_size(), before);
  EXPECT_EQ(plan_mesh(grown, *grown.find<pb::Node>("us-edge-1")).peers_size(), before);
  EXPECT_EQ(mesh_neighbours(grown, *grown.find<pb::Node>("more-0-1")),
            (std::vector<std::string>{"core-1", "more-0-2", "more-0-3", "more-0-4", "more-0-5",
                                      "us-regional-1"}));
}

TEST(NamesPlan, GivesNodesAndTheirServicesTheirMeshAddresses) {
  FleetBuilder fleet = two_regions();
  fleet.service("nats").service("shell", pb::EXPOSURE_NODE);
  fleet.instance("nats", "core-1").instance("shell", "core-1").instance("nats", "eu-edge-1");
  EXPECT_EQ(names_on(fleet.snapshot(), "eu-edge-1"),
            (std::vector<std::string>{
                "fd00:1::1 core-1 core-1.mesh nats.core.mesh",
                "fd00:2::1 eu-regional-1 eu-regional-1.mesh",
                "fd00:3::1 us-regional-1 us-regional-1.mesh",
                "fd00:4::1 eu-edge-1 eu-edge-1.mesh nats.eu-edge.mesh",
                "fd00:5::1 us-edge-1 us-edge-1.mesh",
                "10.64.1.1 core-1 core-1.mesh nats.core.mesh",
                "10.64.2.1 eu-regional-1 eu-regional-1.mesh",
                "10.64.3.1 us-regional-1 us-regional-1.mesh",
                "10.64.4.1 eu-edge-1 eu-edge-1.mesh nats.eu-edge.mesh",
                "10.64.5.1 us-edge-1 us-edge-1.mesh",
            }));
}

FleetBuilder large_fleet() {
  FleetBuilder fleet = two_regions();
  fleet.cluster("us-regional-b", pb::TIER_REGIONAL, "us-east").node(1, Joined::kNo);
  for (int i = 0; i < 30; ++i) {
    fleet.cluster(fmt::format("more-{:02}", i), pb::TIER_EDGE, "us-east");
    for (int n = 1; n <= 10; ++n) fleet.node(n);
  }
  return fleet;
}

TEST(NamesPlan, InALargeFleetNamesTheNeighbourhoodOnly) {
  const Snapshot snapshot = large_fleet().snapshot();
  // Itself, the nine others of its cluster, both regional nodes of the region, and the central one.
  EXPECT_EQ(names_on(snapshot, "more-07-3").size(), 2u * 13u);
}

// Every node whose sections differ must be among the affected ones; returns how many are.
size_t check_affected(const Snapshot& before, const Resource& old, const Resource& fresh) {
  Snapshot after = before;
  if (fresh)
    after.put(fresh);
  else
    after.remove(old.key());
  auto mesh = mesh_affected(after, old, fresh);
  auto names = names_affected(after, old, fresh);
  for (const auto& node : after.list<pb::Node>()) {
    const std::string& name = node->metadata().name();
    const auto* earlier = before.find<pb::Node>(name);
    const auto differs = [&](auto plan) {
      return earlier == nullptr ||
             plan(before, *earlier).SerializeAsString() != plan(after, *node).SerializeAsString();
    };
    const auto mesh_of = [](const auto& in, const auto& of) { return plan_mesh(in, of); };
    const auto names_of = [](const auto& in, const auto& of) { return plan_names(in, of); };
    EXPECT_TRUE(!differs(mesh_of) || mesh.contains(name)) << name;
    EXPECT_TRUE(!differs(names_of) || names.contains(name)) << name;
  }
  mesh.merge(names);
  return mesh.size();
}

TEST(MeshAffected, NamesEveryNodeWhosePlanChangesAndInALargeFleetFewMore) {
  const Snapshot fleet = large_fleet().snapshot();
  const auto changed = [&](const char* name, auto change) {
    pb::Node node = *fleet.find<pb::Node>(name);
    const Resource old = Resource::of(node);
    change(node);
    return check_affected(fleet, old, Resource::of(node));
  };
  const auto rekey = [](pb::Node& node) {
    node.mutable_status()->mutable_agent()->set_wireguard_public_key(FleetBuilder::key_of("other"));
  };
  const auto leave = [](pb::Node& node) {
    node.mutable_status()->mutable_agent()->clear_wireguard_public_key();
  };
  EXPECT_EQ(changed("more-07-3", rekey), 13u);
  EXPECT_EQ(changed("more-07-3", leave), 13u);
  EXPECT_EQ(
      changed("more-07-3",
              [](pb::Node& node) { node.mutable_status()->mutable_health()->set_reason("x"); }),
      0u);
  EXPECT_EQ(changed("us-regional-1", leave), 306u);
  // Not its only one: the region's edges, the regional and central nodes, and itself; not
  // eu-edge-1.
  EXPECT_EQ(changed("us-regional-b-1", rekey), 305u);
  EXPECT_EQ(changed("core-1", rekey), 306u);
  const Resource gone = Resource::of(*fleet.find<pb::Node>("more-07-3"));
  EXPECT_EQ(check_affected(fleet, gone, {}), 13u);
  const Resource cluster = Resource::of(*fleet.find<pb::Cluster>("more-07"));
  pb::Cluster moved = cluster.as<pb::Cluster>();
  moved.mutable_spec()->mutable_networks()->set_mesh("10.65.0.0/24");
  EXPECT_EQ(check_affected(fleet, cluster, Resource::of(moved)), 306u);
}

TEST(MeshAffected, AnInstanceNamesItsNodesNeighbourhood) {
  FleetBuilder fleet = large_fleet();
  fleet.service("nats");
  FleetBuilder with = fleet;
  with.instance("nats", "more-07-3");
  EXPECT_EQ(check_affected(fleet.snapshot(), {}, with.resources().back()), 13u);
}

TEST(MeshAffected, AKeyIsNoMatterOfNames) {
  const Snapshot fleet = two_regions().snapshot();
  const Resource old = Resource::of(*fleet.find<pb::Node>("core-1"));
  pb::Node node = old.as<pb::Node>();
  node.mutable_status()->mutable_agent()->set_wireguard_public_key("other");
  EXPECT_EQ(mesh_affected(fleet, old, Resource::of(node)).size(), 5u);
  EXPECT_TRUE(names_affected(fleet, old, Resource::of(node)).empty());
}

TEST(ExplainMesh, TellsWhatJoinsAndWhatThatDoesToOthers) {
  FleetBuilder fleet;
  fleet.cluster("core", pb::TIER_CENTRAL, "eu").node(1, Joined::kNo);
  const Snapshot before = fleet.snapshot();
  fleet.cluster("edge", pb::TIER_EDGE, "eu").node(1, Joined::kNo);
  std::vector<std::string> told;
  for (const auto& step : explain_mesh(before, fleet.snapshot()))
    told.push_back(
        fmt::format("{} {} {}: {}", step.layer(), step.action(), step.object(), step.summary()));
  EXPECT_EQ(told, (std::vector<std::string>{"config update Node/core-1: mesh: peers with edge-1",
                                            "config create Node/edge-1: mesh: peers with core-1"}));
  EXPECT_TRUE(explain_mesh(fleet.snapshot(), fleet.snapshot()).empty());
}

}  // namespace
}  // namespace frameworks
