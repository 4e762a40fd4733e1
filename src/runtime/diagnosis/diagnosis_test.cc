#include "runtime/diagnosis/diagnosis.h"

#include <gtest/gtest.h>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/words.h"
#include "runtime/inventory/inventory.h"

namespace frameworks {
namespace {

// A fleet in which all is well, to be broken.
class Why : public ::testing::Test {
 protected:
  Why() {
    cluster_.mutable_metadata()->set_name("eu-edge");
    cluster_.mutable_spec()->set_tier(pb::TIER_EDGE);
    cluster_.mutable_spec()->set_region("eu-west");
    service_.mutable_metadata()->set_name("media");
    service_.mutable_spec()->set_tenant_facing(true);
    pb::Port& port = *service_.mutable_spec()->add_ports();
    port.set_name("rtmp");
    port.set_port(1935);
    port.set_protocol(pb::PROTOCOL_TCP);
    port.set_url("rtmp://{address}:{port}/live");
    pool_.mutable_metadata()->set_name("edges");
    pool_.mutable_spec()->set_cluster("eu-edge");
    node_.mutable_metadata()->set_name("eu-edge-1");
    node_.mutable_spec()->set_cluster("eu-edge");
    node_.mutable_spec()->set_pool("edges");
    node_.mutable_spec()->set_address("192.0.2.1");
    pb::NodeStatus& status = *node_.mutable_status();
    status.mutable_machine()->set_state(pb::MACHINE_STATE_RUNNING);
    status.mutable_machine()->set_ssh_host_key("ssh-ed25519 AAAA");
    status.mutable_agent()->mutable_join_time()->set_seconds(1);
    status.mutable_health()->set_state(pb::HEALTH_HEALTHY);
    instance_.mutable_metadata()->set_name("media.eu-edge-1");
    instance_.mutable_spec()->set_service("media");
    instance_.mutable_spec()->set_node("eu-edge-1");
    instance_.mutable_status()->set_state(pb::HEALTH_HEALTHY);
    tenant_.mutable_metadata()->set_name("acme");
    grant_.mutable_metadata()->set_name("eu-edge");
    grant_.mutable_metadata()->set_tenant("acme");
    grant_.mutable_spec()->set_cluster("eu-edge");
  }

  Snapshot fleet(bool configured = true) {
    Snapshot out;
    out.put(Resource::of(cluster_));
    out.put(Resource::of(service_));
    out.put(Resource::of(pool_));
    out.put(Resource::of(instance_));
    out.put(Resource::of(tenant_));
    out.put(Resource::of(grant_));
    out.put(Resource::of(node_));
    if (configured) {
      node_.mutable_status()->mutable_configuration()->set_version(host_version(out, node_));
      out.put(Resource::of(node_));
    }
    for (const Resource& more : more_) out.put(more);
    out.set_revision(7, WallTime(std::chrono::seconds(1000)));
    return out;
  }

  // "wrong machine Node/eu-edge-1: machine is switched off"; "well" when all is.
  static std::string text(const pb::WhyResponse& why) {
    if (why.first() < 0) return "well";
    const pb::WhyStep& step = why.steps(why.first());
    return word(step.finding()) + " " + step.layer() + " " + step.object() + ": " + step.message();
  }
  static std::string first(const Snapshot& snapshot, const std::string& kind,
                           const std::string& name, const PlanWaits& waits = {},
                           const std::string& tenant = "") {
    const auto why = diagnose(Visibility(snapshot, tenant), waits, kind, name);
    return why ? text(*why) : why.error().text();
  }
  std::string node(const PlanWaits& waits = {}) {
    return first(fleet(), "node", "eu-edge-1", waits);
  }

  pb::Cluster cluster_;
  pb::Service service_;
  pb::MachinePool pool_;
  pb::Node node_;
  pb::Instance instance_;
  pb::Tenant tenant_;
  pb::Grant grant_;
  std::vector<Resource> more_;
};

TEST_F(Why, NothingIsWrongWhereAllIsWell) {
  const Snapshot snapshot = fleet();
  EXPECT_EQ(first(snapshot, "node", "eu-edge-1"), "well");
  EXPECT_EQ(first(snapshot, "service", "media"), "well");
  EXPECT_EQ(first(snapshot, "instances", "media.eu-edge-1"), "well");
  EXPECT_EQ(first(snapshot, "tenant", "acme"), "well");
  EXPECT_EQ(first(snapshot, "Cluster", "eu-edge"), "well");
}

TEST_F(Why, WalksFromTheMachineOverItsConfigurationToTheRuntime) {
  // From the last to the first: what comes earlier hides what follows from it.
  instance_.mutable_status()->set_state(pb::HEALTH_DOWN);
  instance_.mutable_status()->set_reason("rtmp: connection refused");
  EXPECT_EQ(node(), "wrong runtime Instance/media.eu-edge-1: is down: rtmp: connection refused");
  EXPECT_EQ(node({{"eu-edge-1", {{"mesh", "no such device", true}}}}),
            "wrong runtime Node/eu-edge-1: mesh: no such device");
  node_.mutable_status()->mutable_health()->set_state(pb::HEALTH_DOWN);
  node_.mutable_status()->mutable_health()->set_reason("no heartbeat for 3.1 s");
  EXPECT_EQ(node(), "wrong runtime Node/eu-edge-1: is down: no heartbeat for 3.1 s");
  node_.mutable_status()->mutable_agent()->clear_join_time();
  EXPECT_EQ(node(), "wrong runtime Node/eu-edge-1: its agent has not joined");
  node_.mutable_status()->mutable_configuration()->set_error("apt is locked");
  EXPECT_EQ(node(), "wrong config Node/eu-edge-1: cannot be configured: apt is locked");
  node_.mutable_status()->mutable_machine()->clear_ssh_host_key();
  EXPECT_EQ(node(),
            "wrong machine Node/eu-edge-1: its SSH host key is not known: it is not "
            "configured without");
  node_.mutable_status()->mutable_machine()->set_state(pb::MACHINE_STATE_STOPPED);
  EXPECT_EQ(node(), "wrong machine Node/eu-edge-1: machine is switched off");
  const Snapshot snapshot = fleet();
  EXPECT_EQ(first(snapshot, "instance", "media.eu-edge-1"),
            "wrong machine Node/eu-edge-1: machine is switched off");
  EXPECT_EQ(first(snapshot, "cluster", "eu-edge"),
            "wrong machine Node/eu-edge-1: machine is switched off");
}

TEST_F(Why, TellsAPartitionFromADeadNode) {
  node_.mutable_status()->mutable_health()->set_state(pb::HEALTH_DEGRADED);
  node_.mutable_status()->mutable_health()->set_partitioned(true);
  node_.mutable_status()->mutable_health()->set_reason("no heartbeat for 9 s");
  EXPECT_EQ(node(),
            "wrong runtime Node/eu-edge-1: is cut off from the server: its peers reach it: "
            "no heartbeat for 9 s");
}

TEST_F(Why, WhatIsUnderWayIsAWarning) {
  EXPECT_EQ(node({{"eu-edge-1", {{"names", "was sent it and has not answered yet", false}}}}),
            "warning runtime Node/eu-edge-1: names: was sent it and has not answered yet");
  node_.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  node_.mutable_status()->mutable_drain()->set_message("3 sessions are left");
  EXPECT_EQ(node(),
            "warning runtime Node/eu-edge-1: is drained: it gets no new work; 3 sessions "
            "are left");
  // Somebody is at work on it: that it is down is nothing new.
  node_.mutable_spec()->set_availability(pb::AVAILABILITY_MAINTENANCE);
  node_.mutable_status()->mutable_health()->set_state(pb::HEALTH_DOWN);
  EXPECT_EQ(node(),
            "warning runtime Node/eu-edge-1: is in maintenance: it gets no new work; 3 "
            "sessions are left");
}

TEST_F(Why, SaturationAndFlappingAreWarnings) {
  node_.mutable_status()->mutable_health()->add_saturated("cpu");
  node_.mutable_status()->mutable_health()->add_saturated("disk");
  EXPECT_EQ(node(),
            "warning runtime Node/eu-edge-1: is saturated (cpu, disk): new work goes elsewhere");
}

TEST_F(Why, AServiceThatRunsNowhereSaysWhichConstraintAndHowClose) {
  pb::Service big;
  big.mutable_metadata()->set_name("big");
  big.mutable_spec()->mutable_placement()->set_count(1);
  big.mutable_spec()->mutable_resources()->set_memory_mb(4096);
  big.mutable_status()->set_wanted(1);
  more_.push_back(Resource::of(big));
  pool_.mutable_spec()->mutable_size()->set_memory_mb(1024);
  EXPECT_EQ(first(fleet(), "service", "big"),
            "wrong runtime Service/big: runs nowhere: 1 node excluded by memory (closest: "
            "eu-edge-1 has 1024 of the 4096 MiB)");
}

TEST_F(Why, TwoServicesOnOnePortNameEachOther) {
  pb::Service rival = service_;
  rival.mutable_metadata()->set_name("rival");
  more_.push_back(Resource::of(rival));
  EXPECT_EQ(first(fleet(), "service", "rival"),
            "wrong runtime Service/rival: runs nowhere: 1 node excluded by port (closest: "
            "eu-edge-1 has media on tcp 1935)");
}

TEST_F(Why, ADependencyThatDoesNotWorkIsNamed) {
  pb::Service database;
  database.mutable_metadata()->set_name("database");
  more_.push_back(Resource::of(database));
  service_.mutable_spec()->add_depends_on("database");
  EXPECT_EQ(first(fleet(), "service", "media"),
            "wrong runtime Service/database: media depends on it, and it runs nowhere");
}

TEST_F(Why, ServicesThatDependOnEachOtherAreWalkedOnce) {
  pb::Service other = service_;
  other.mutable_metadata()->set_name("other");
  other.mutable_spec()->clear_ports();
  other.mutable_spec()->add_depends_on("media");
  service_.mutable_spec()->add_depends_on("other");
  more_.push_back(Resource::of(other));
  EXPECT_EQ(first(fleet(), "service", "media"),
            "wrong runtime Service/other: media depends on it, and it runs nowhere");
}

TEST_F(Why, ARolloutThatFailedIsNamed) {
  pb::Rollout rollout;
  rollout.mutable_metadata()->set_name("media-2");
  rollout.mutable_spec()->set_service("media");
  rollout.mutable_spec()->set_version("2");
  rollout.mutable_status()->set_state(pb::ROLLOUT_STATE_FAILED);
  rollout.mutable_status()->set_message("the canary was not healthy");
  more_.push_back(Resource::of(rollout));
  EXPECT_EQ(first(fleet(), "service", "media"),
            "wrong runtime Rollout/media-2: to version 2 is failed: the canary was not healthy");
}

TEST_F(Why, OpenIncidentsAreNamed) {
  pb::Incident incident;
  incident.mutable_metadata()->set_name("inc-1");
  incident.mutable_spec()->set_cause("nodes of region eu-west are down");
  incident.mutable_status()->add_objects("Node/eu-edge-1");
  more_.push_back(Resource::of(incident));
  EXPECT_EQ(node(), "warning runtime Incident/inc-1: is open: nodes of region eu-west are down");
  incident.mutable_status()->mutable_close_time()->set_seconds(1);
  more_ = {Resource::of(incident)};
  EXPECT_EQ(node(), "well");
}

TEST_F(Why, ATenantIsWalkedOverItsStateGrantsEndpointsAndDomains) {
  tenant_.mutable_spec()->add_domains("live.example.org");
  pb::DomainStatus& domain = *tenant_.mutable_status()->add_domains();
  domain.set_domain("live.example.org");
  domain.set_state(pb::DOMAIN_STATE_PENDING);
  domain.set_challenge("fw-1");
  EXPECT_EQ(first(fleet(), "tenant", "acme"),
            "warning runtime Tenant/acme: domain live.example.org is not verified");
  instance_.mutable_status()->set_state(pb::HEALTH_DOWN);
  EXPECT_EQ(first(fleet(), "tenant", "acme"),
            "wrong runtime Cluster/eu-edge: none of its endpoints works: the tenant is not served "
            "there");
  grant_.mutable_spec()->mutable_expire_time()->set_seconds(999);
  EXPECT_EQ(first(fleet(), "tenant", "acme"),
            "wrong runtime Tenant/acme: may use no cluster: it has no grant that holds");
  const Snapshot snapshot = fleet();
  const auto why = diagnose(Visibility(snapshot, ""), {}, "tenant", "acme");
  ASSERT_TRUE(why);
  EXPECT_EQ(why->steps(1).object(), "Grant/acme/eu-edge");
  EXPECT_EQ(why->steps(1).message(), "eu-edge is void since 1970-01-01T00:16:39Z");
  tenant_.mutable_spec()->set_suspended(true);
  EXPECT_EQ(first(fleet(), "tenant", "acme"),
            "wrong runtime Tenant/acme: is suspended: media servers refuse it");
}

TEST_F(Why, ABoundCallerIsToldOfItsOwnAndOfNothingElse) {
  node_.mutable_status()->mutable_health()->set_state(pb::HEALTH_DOWN);
  instance_.mutable_status()->set_state(pb::HEALTH_DOWN);
  pb::Tenant other;
  other.mutable_metadata()->set_name("globex");
  more_.push_back(Resource::of(other));
  const Snapshot snapshot = fleet();
  for (const auto& [kind, name] :
       std::vector<std::pair<std::string, std::string>>{{"tenant", "globex"},
                                                        {"node", "eu-edge-1"},
                                                        {"service", "media"},
                                                        {"instance", "media.eu-edge-1"}})
    EXPECT_FALSE(diagnose(Visibility(snapshot, "acme"), {}, kind, name)) << kind;
  // It uses the cluster, and its machines are none of its business.
  const auto cluster = diagnose(Visibility(snapshot, "acme"), {}, "cluster", "eu-edge");
  ASSERT_TRUE(cluster);
  for (const pb::WhyStep& step : cluster->steps()) EXPECT_EQ(step.object(), "Cluster/eu-edge");
  EXPECT_EQ(first(snapshot, "tenant", "acme", {}, "acme"),
            "wrong runtime Cluster/eu-edge: none of its endpoints works: the tenant is not served "
            "there");
}

TEST_F(Why, WhatCannotBeAskedAboutIsRefused) {
  const Snapshot snapshot = fleet();
  const Visibility everything(snapshot, "");
  EXPECT_EQ(diagnose(everything, {}, "secret", "x").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(diagnose(everything, {}, "nonsense", "x").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(diagnose(everything, {}, "node", "nobody").error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace frameworks
