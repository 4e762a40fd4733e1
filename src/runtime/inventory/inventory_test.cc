#include "runtime/inventory/inventory.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"

namespace frameworks {
namespace {

using Lines = std::vector<std::string>;

pb::Service service(const std::string& name, const std::string& role) {
  pb::Service out;
  out.mutable_metadata()->set_name(name);
  out.mutable_spec()->set_role(role);
  return out;
}

pb::Service exporter() {
  pb::Service out = service("node-exporter", "node_exporter");
  auto& port = *out.mutable_spec()->add_ports();
  port.set_name("metrics");
  port.set_port(9100);
  port.set_protocol(pb::PROTOCOL_TCP);
  port.set_exposure(pb::EXPOSURE_MESH);
  (*out.mutable_spec()->mutable_config())["zeta"].set_number_value(3);
  (*out.mutable_spec()->mutable_config())["alpha"].set_bool_value(true);
  return out;
}

pb::Instance instance(const std::string& service, const std::string& node) {
  pb::Instance out;
  out.mutable_metadata()->set_name(service + "." + node);
  out.mutable_spec()->set_service(service);
  out.mutable_spec()->set_node(node);
  return out;
}

pb::Node node() {
  pb::Node out;
  out.mutable_metadata()->set_name("eu-edge-1");
  out.mutable_spec()->set_cluster("eu-edge");
  out.mutable_spec()->set_address("10.99.4.1");
  out.mutable_spec()->set_mesh_address("10.64.4.1");
  out.mutable_spec()->set_mesh_address6("fd66::1");
  return out;
}

Snapshot fleet() {
  Snapshot out;
  pb::Cluster cluster;
  cluster.mutable_metadata()->set_name("eu-edge");
  cluster.mutable_spec()->set_tier(pb::TIER_EDGE);
  cluster.mutable_spec()->set_region("eu-west");
  out.put(Resource::of(cluster));
  out.put(Resource::of(node()));
  out.put(Resource::of(exporter()));
  out.put(Resource::of(instance("node-exporter", "eu-edge-1")));
  return out;
}

TEST(Inventory, IsWhatAnsibleExpectsOfAScript) {
  const auto expected = boost::json::parse(R"({
    "_meta": {"hostvars": {"eu-edge-1": {
      "ansible_host": "10.99.4.1", "ansible_port": 22, "ansible_user": "root",
      "frameworks_node": "eu-edge-1", "frameworks_cluster": "eu-edge",
      "frameworks_tier": "edge", "frameworks_region": "eu-west",
      "frameworks_mesh_address": "10.64.4.1", "frameworks_mesh_address6": "fd66::1",
      "frameworks_services": [{
        "name": "node-exporter", "role": "node_exporter", "version": "",
        "ports": [{"name": "metrics", "port": 9100, "protocol": "tcp", "exposure": "mesh"}],
        "config": {"alpha": true, "zeta": 3}}]}}},
    "all": {"hosts": ["eu-edge-1"],
            "children": ["cluster_eu_edge", "region_eu_west", "service_node_exporter", "tier_edge"]},
    "cluster_eu_edge": {"hosts": ["eu-edge-1"]},
    "region_eu_west": {"hosts": ["eu-edge-1"]},
    "service_node_exporter": {"hosts": ["eu-edge-1"]},
    "tier_edge": {"hosts": ["eu-edge-1"]}})");
  const boost::json::value actual = inventory_json(fleet());
  EXPECT_EQ(boost::json::serialize(actual), boost::json::serialize(expected));
}

TEST(Inventory, LeavesOutNodesThatCannotBeReached) {
  Snapshot snapshot = fleet();
  pb::Node homeless = node();
  homeless.mutable_metadata()->set_name("eu-edge-2");
  homeless.mutable_spec()->clear_address();
  snapshot.put(Resource::of(homeless));
  EXPECT_EQ(boost::json::serialize(inventory_json(snapshot)),
            boost::json::serialize(inventory_json(fleet())));
  EXPECT_TRUE(explain_configuration(fleet(), snapshot).size() == 1u);
}

TEST(Inventory, HoldsOnlyTheNodesThatWereAskedFor) {
  Snapshot snapshot = fleet();
  pb::Node other = node();
  other.mutable_metadata()->set_name("eu-edge-2");
  snapshot.put(Resource::of(other));
  EXPECT_EQ(boost::json::serialize(inventory_json(snapshot, {"eu-edge-1"})),
            boost::json::serialize(inventory_json(fleet())));
}

// The services of the node, in the order in which they are installed.
Lines services_of(const Snapshot& snapshot) {
  Lines names;
  const boost::json::object host = host_json(snapshot, node());
  for (const auto& entry : host.at("frameworks_services").as_array())
    names.emplace_back(entry.at("name").as_string());
  return names;
}

TEST(Inventory, AServiceComesAfterThoseItDependsOn) {
  Snapshot snapshot = fleet();
  pb::Service first = service("a-service", "a");
  first.mutable_spec()->add_depends_on("z-service");
  snapshot.put(Resource::of(first));
  snapshot.put(Resource::of(service("z-service", "z")));
  snapshot.put(Resource::of(instance("a-service", "eu-edge-1")));
  snapshot.put(Resource::of(instance("z-service", "eu-edge-1")));
  EXPECT_EQ(services_of(snapshot), (Lines{"z-service", "a-service", "node-exporter"}));
}

TEST(Inventory, WhatRunsElsewhereHandsOnWhatItDependsOn) {
  Snapshot snapshot = fleet();
  pb::Service first = service("a-service", "a");
  first.mutable_spec()->add_depends_on("m-service");
  pb::Service elsewhere = service("m-service", "m");
  elsewhere.mutable_spec()->add_depends_on("z-service");
  snapshot.put(Resource::of(first));
  snapshot.put(Resource::of(elsewhere));
  snapshot.put(Resource::of(service("z-service", "z")));
  snapshot.put(Resource::of(instance("a-service", "eu-edge-1")));
  snapshot.put(Resource::of(instance("z-service", "eu-edge-1")));
  EXPECT_EQ(services_of(snapshot), (Lines{"z-service", "a-service", "node-exporter"}));
}

TEST(Inventory, ARoleGetsTheVersionOfItsInstance) {
  Snapshot snapshot = fleet();
  const std::string before = host_version(snapshot, node());
  pb::Instance own = instance("node-exporter", "eu-edge-1");
  own.mutable_spec()->set_version("1.9");
  snapshot.put(Resource::of(own));
  const boost::json::object host = host_json(snapshot, node());
  EXPECT_EQ(host.at("frameworks_services").as_array()[0].at("version"), "1.9");
  EXPECT_NE(host_version(snapshot, node()), before);
}

TEST(Inventory, TheVersionFollowsWhatConfiguresTheHostAndNothingElse) {
  Snapshot snapshot = fleet();
  const std::string version = host_version(snapshot, node());
  pb::Node seen = node();
  seen.mutable_status()->mutable_health()->set_state(pb::HEALTH_DOWN);
  seen.mutable_status()->mutable_agent()->set_wireguard_public_key("key");
  EXPECT_EQ(host_version(snapshot, seen), version);
  pb::Node moved = node();
  moved.mutable_spec()->set_mesh_address("10.64.4.2");
  EXPECT_NE(host_version(snapshot, moved), version);
  pb::Service changed = exporter();
  (*changed.mutable_spec()->mutable_config())["alpha"].set_bool_value(false);
  snapshot.put(Resource::of(changed));
  EXPECT_NE(host_version(snapshot, node()), version);
}

TEST(Inventory, ExplainsWhichHostsAreConfiguredAndWhy) {
  const Snapshot before = fleet();
  EXPECT_EQ(explain_configuration({}, before)[0].summary(),
            "configure eu-edge-1: install base, agent, node-exporter");

  Snapshot applied = fleet();
  pb::Node done = node();
  done.mutable_status()->mutable_configuration()->set_version(host_version(applied, done));
  applied.put(Resource::of(done));
  EXPECT_TRUE(explain_configuration(applied, applied).empty());

  Snapshot after = applied;
  pb::Service changed = exporter();
  changed.mutable_spec()->mutable_ports(0)->set_port(9200);
  after.put(Resource::of(changed));
  after.put(Resource::of(service("redis", "redis")));
  after.put(Resource::of(instance("redis", "eu-edge-1")));
  const auto steps = explain_configuration(applied, after);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].object(), "eu-edge-1");
  EXPECT_EQ(steps[0].summary(), "configure eu-edge-1: change node-exporter, add redis");
}

TEST(Inventory, AHostWhoseLastRunFailedIsStillToBeConfigured) {
  Snapshot snapshot = fleet();
  pb::Node behind = node();
  behind.mutable_status()->mutable_configuration()->set_version("older");
  snapshot.put(Resource::of(behind));
  ASSERT_EQ(explain_configuration(snapshot, snapshot).size(), 1u);
  EXPECT_EQ(explain_configuration(snapshot, snapshot)[0].summary(),
            "configure eu-edge-1: bring up to date");
}

}  // namespace
}  // namespace frameworks
