#include "runtime/orchestration/discovery.h"

#include <gtest/gtest.h>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "store/fake_transaction.h"

namespace frameworks {
namespace {

using Names = std::vector<std::string>;

// Nodes a (Amsterdam), l (London), n (New York), x (nowhere), each with an instance of "media".
class DiscoveryTest : public ::testing::Test {
 protected:
  DiscoveryTest() {
    pb::Service service;
    service.mutable_metadata()->set_name("media");
    service.mutable_spec()->add_ports()->set_port(1935);
    fleet_.put(service);
    add("a", "nl", 52.37, 4.90);
    add("l", "gb", 51.51, -0.13);
    add("n", "us", 40.71, -74.01);
    add("x", "mars", 0, 0);
    pb::Cluster nowhere = *fleet_.snapshot().find<pb::Cluster>("x");
    nowhere.mutable_spec()->clear_location();
    fleet_.put(nowhere);
    set_health("l", pb::HEALTH_HEALTHY, pb::HEALTH_HEALTHY);
  }

  void add(const std::string& name, const std::string& region, double latitude, double longitude) {
    pb::Cluster cluster;
    cluster.mutable_metadata()->set_name(name);
    cluster.mutable_spec()->set_region(region);
    cluster.mutable_spec()->mutable_location()->set_latitude(latitude);
    cluster.mutable_spec()->mutable_location()->set_longitude(longitude);
    fleet_.put(cluster);
    pb::Node node;
    node.mutable_metadata()->set_name(name);
    node.mutable_spec()->set_cluster(name);
    node.mutable_spec()->set_mesh_address("10.64.0.1");
    fleet_.put(node);
    pb::Instance instance;
    instance.mutable_metadata()->set_name("media." + name);
    instance.mutable_spec()->set_service("media");
    instance.mutable_spec()->set_node(name);
    fleet_.put(instance);
    set_health(name, pb::HEALTH_HEALTHY, pb::HEALTH_HEALTHY);
  }
  void set_health(const std::string& name, pb::Health of_node, pb::Health of_instance) {
    pb::Node node = *fleet_.snapshot().find<pb::Node>(name);
    node.mutable_status()->mutable_health()->set_state(of_node);
    fleet_.put(node);
    pb::Instance instance = *fleet_.snapshot().find<pb::Instance>("media." + name);
    instance.mutable_status()->set_state(of_instance);
    fleet_.put(instance);
  }
  pb::DiscoverResponse ask(const std::string& near = "", const std::string& cluster = "") {
    pb::DiscoverRequest request;
    request.set_service("media");
    request.set_near_region(near);
    request.set_cluster(cluster);
    const auto found = discover(fleet_.snapshot(), request);
    EXPECT_TRUE(found);
    return found ? *found : pb::DiscoverResponse();
  }
  static Names nodes(const pb::DiscoverResponse& response) {
    Names out;
    for (const auto& instance : response.instances()) out.push_back(instance.node());
    return out;
  }

  FakeTransaction fleet_;
};

TEST_F(DiscoveryTest, NearestFirstAndUnknownPlacesLast) {
  const auto near = ask("nl");
  EXPECT_EQ(nodes(near), (Names{"a", "l", "n", "x"}));
  EXPECT_EQ(near.instances(0).distance_km(), 0);
  EXPECT_NEAR(near.instances(1).distance_km(), 358, 5);    // Amsterdam to London
  EXPECT_NEAR(near.instances(2).distance_km(), 5866, 30);  // to New York
  EXPECT_EQ(near.instances(3).distance_km(), -1);
  EXPECT_EQ(nodes(ask("us")), (Names{"n", "l", "a", "x"}));
  EXPECT_EQ(nodes(ask("", "n")), Names{"n"});
}

TEST_F(DiscoveryTest, WhatIsDownUnknownOrDrainedIsNotNamed) {
  set_health("a", pb::HEALTH_DOWN, pb::HEALTH_HEALTHY);
  set_health("l", pb::HEALTH_HEALTHY, pb::HEALTH_UNKNOWN);
  set_health("n", pb::HEALTH_SUSPECT, pb::HEALTH_HEALTHY);
  EXPECT_EQ(nodes(ask()), (Names{"n", "x"}));
  EXPECT_EQ(ask().instances(0).state(), pb::HEALTH_SUSPECT);
  pb::Node drained = *fleet_.snapshot().find<pb::Node>("n");
  drained.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  fleet_.put(drained);
  EXPECT_EQ(nodes(ask()), Names{"x"});
}

TEST_F(DiscoveryTest, SaturatedNodesAreLeftOutAsLongAsThereAreOthers) {
  const auto fill = [&](const char* name) {
    pb::Node node = *fleet_.snapshot().find<pb::Node>(name);
    node.mutable_status()->mutable_health()->set_state(pb::HEALTH_DEGRADED);
    node.mutable_status()->mutable_health()->add_saturated("cpu");
    fleet_.put(node);
  };
  for (const char* name : {"a", "n", "x"}) fill(name);
  EXPECT_EQ(nodes(ask("nl")), Names{"l"});
  EXPECT_EQ(nodes(ask("", "n")), Names{"n"}) << "there is no other in this cluster";
  fill("l");
  EXPECT_EQ(nodes(ask("nl")), (Names{"a", "l", "n", "x"})) << "full is better than none";
}

TEST_F(DiscoveryTest, WhatDoesNotExistIsNotFound) {
  pb::DiscoverRequest request;
  request.set_service("nothing");
  EXPECT_EQ(discover(fleet_.snapshot(), request).error().code(), Code::kNotFound);
  request.set_service("media");
  request.set_cluster("nowhere");
  EXPECT_EQ(discover(fleet_.snapshot(), request).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace frameworks
