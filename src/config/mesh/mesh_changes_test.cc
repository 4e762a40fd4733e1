// A node that was told its whole mesh once, and then only what changed, has what it shall have.
#include "config/mesh/mesh_changes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "config/mesh/fleet_builder.h"
#include "config/mesh/mesh_planner.h"

namespace frameworks {
namespace {

PlannedMesh plan(const Snapshot& snapshot, const std::string& node, KnownPeers& known) {
  const MeshTopology topology(snapshot);
  return MeshPlanner(topology, known).plan(*snapshot.find<pb::Node>(node));
}

// A node that watches, and so many others that half of them are never touched.
Snapshot star(int nodes) {
  FleetBuilder fleet;
  fleet.cluster("core", pb::TIER_CENTRAL, "r0").node(1);
  fleet.cluster("edge", pb::TIER_EDGE, "r0");
  for (int i = 1; i <= nodes; ++i) fleet.node(i);
  return fleet.snapshot();
}

pb::Node edge(const Snapshot& snapshot, int number) {
  return *snapshot.find<pb::Node>(fmt::format("edge-{}", number));
}

void touch(Snapshot& snapshot, int number) {
  const std::string name = fmt::format("edge-{}", number);
  const auto* found = snapshot.find<pb::Node>(name);
  if (found == nullptr) {  // comes back as another machine
    pb::Node node = edge(star(number), number);
    node.mutable_status()->mutable_agent()->set_wireguard_public_key(FleetBuilder::key_of("new"));
    return snapshot.put(Resource::of(std::move(node)));
  }
  pb::Node node = *found;
  auto& agent = *node.mutable_status()->mutable_agent();
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      return snapshot.remove({"Node", {}, name});
    case 1:
      agent.set_wireguard_public_key(*rc::gen::element<std::string>("k1", "k2", "k3", ""));
      break;
    case 2:
      node.mutable_spec()->set_address(*rc::gen::element<std::string>("192.0.2.1", "2001:db8::1"));
      break;
    default:
      node.mutable_spec()->set_mesh_address6(*rc::gen::element<std::string>("fd00::9", ""));
  }
  snapshot.put(Resource::of(std::move(node)));
}

RC_GTEST_PROP(MeshChanges, TheWholeAndAllChangesSinceAreTheWholeOfNow, ()) {
  KnownPeers known;
  Snapshot snapshot = star(20);
  PlannedMesh base = plan(snapshot, "core-1", known);
  pb::MeshSection has = whole_section(base);
  const int rounds = *rc::gen::inRange(1, 8);
  for (int i = 0; i < rounds; ++i) {
    const int touched = *rc::gen::inRange(0, 5);
    for (int n = 0; n < touched; ++n) touch(snapshot, *rc::gen::inRange(1, 9));
    PlannedMesh now = plan(snapshot, "core-1", known);
    const auto changes = mesh_changes(base, mesh_hash(base), now);
    RC_ASSERT(changes.has_value());
    RC_ASSERT(changes->changes_since() == mesh_hash(has));
    // A key that two nodes had is told by the hash, and then the whole is sent.
    if (auto whole = with_changes(has, *changes); whole && mesh_hash(*whole) == mesh_hash(now))
      has = *std::move(whole);
    else
      has = whole_section(now);
    RC_ASSERT(has.SerializeAsString() == whole_section(now).SerializeAsString());
    // And planned by somebody who knew nothing it is the same.
    KnownPeers none;
    RC_ASSERT(mesh_hash(plan(snapshot, "core-1", none)) == mesh_hash(now));
    base = std::move(now);
  }
}

TEST(MeshChanges, SayOnlyWhoChangedCameAndWent) {
  KnownPeers known;
  const Snapshot before = star(20);
  Snapshot after = before;
  after.remove({"Node", {}, "edge-3"});
  pb::Node node = edge(after, 5);
  node.mutable_status()->mutable_agent()->set_wireguard_public_key("another");
  after.put(Resource::of(node));
  const PlannedMesh base = plan(before, "core-1", known);
  const PlannedMesh now = plan(after, "core-1", known);
  const auto changes = mesh_changes(base, "base", now);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->peers_size(), 1);
  EXPECT_EQ(changes->peers(0).public_key(), "another");
  ASSERT_EQ(changes->removed_peers_size(), 2);
  EXPECT_EQ(changes->removed_peers(0), FleetBuilder::key_of("edge-3"));
  EXPECT_EQ(changes->removed_peers(1), FleetBuilder::key_of("edge-5"));
  const auto whole = with_changes(whole_section(base), *changes);
  ASSERT_TRUE(whole) << whole.error().text();
  EXPECT_EQ(mesh_hash(*whole), mesh_hash(now));
}

TEST(MeshChanges, ThatAreManyAreToldAsTheWhole) {
  KnownPeers known;
  EXPECT_FALSE(
      mesh_changes(plan(star(4), "core-1", known), "base", plan(star(20), "core-1", known)));
}

TEST(MeshChanges, OfAnotherSectionAreRefused) {
  pb::MeshSection changes;
  changes.add_removed_peers("nobody's");
  EXPECT_EQ(with_changes({}, changes).error().code(), Code::kInvalidArgument);
}

TEST(MeshHash, DiffersWithEveryFieldOfTheSectionAndItsPeers) {
  KnownPeers known;
  pb::MeshSection section = whole_section(plan(star(3), "core-1", known));
  const std::string hash = mesh_hash(section);
  section.mutable_peers(1)->set_persistent_keepalive(1);
  EXPECT_NE(mesh_hash(section), hash);
  section.mutable_peers(1)->clear_persistent_keepalive();
  EXPECT_EQ(mesh_hash(section), hash);
  section.set_listen_port(1);
  EXPECT_NE(mesh_hash(section), hash);
}

TEST(KnownPeers, AreMadeAgainOnlyWhenWhatPeersSeeChanged) {
  KnownPeers known;
  pb::Node node = edge(star(1), 1);
  const auto get = [&] { return known.get({std::make_shared<const pb::Node>(node)}).at(0); };
  const auto first = get();
  node.mutable_status()->mutable_health()->set_reason("of no matter");
  EXPECT_EQ(get(), first);
  node.mutable_spec()->set_wireguard_port(7);
  EXPECT_NE(get(), first);
  EXPECT_NE(get()->peer.endpoint(), first->peer.endpoint());
}

}  // namespace
}  // namespace frameworks
