#include <gtest/gtest.h>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/tenants/tenancy_plan.h"
#include "runtime/tenants/tenant_context.h"

namespace frameworks {
namespace {

using Lines = std::vector<std::string>;
constexpr std::chrono::seconds kNow{1'700'000'000};

template <typename T>
T named(const std::string& name, const std::string& tenant = {}) {
  T out;
  out.mutable_metadata()->set_name(name);
  out.mutable_metadata()->set_tenant(tenant);
  return out;
}

// One edge cluster with a media server; tenant acme with a grant on it.
class Tenants : public ::testing::Test {
 protected:
  Tenants() {
    auto cluster = named<pb::Cluster>("eu-edge");
    cluster.mutable_spec()->set_tier(pb::TIER_EDGE);
    cluster.mutable_spec()->set_region("eu-west");
    put(cluster);
    node_ = named<pb::Node>("eu-edge-1");
    node_.mutable_spec()->set_cluster("eu-edge");
    node_.mutable_spec()->set_address("10.99.4.1");
    node_.mutable_spec()->set_mesh_address("10.64.4.1");
    service_ = named<pb::Service>("media");
    service_.mutable_spec()->set_tenant_facing(true);
    auto& port = *service_.mutable_spec()->add_ports();
    port.set_name("rtmp");
    port.set_port(1935);
    port.set_exposure(pb::EXPOSURE_PUBLIC);
    port.set_url("rtmp://{address}:{port}/live");
    put(service_);
    instance_ = named<pb::Instance>("media.eu-edge-1");
    instance_.mutable_spec()->set_service("media");
    instance_.mutable_spec()->set_node("eu-edge-1");
    states(pb::HEALTH_HEALTHY, pb::HEALTH_HEALTHY);
    put(named<pb::Tenant>("acme"));
    put(grant("acme"));
    fleet_.set_revision(7, WallTime{kNow});
  }

  template <typename T>
  void put(T message) {
    fleet_.put(Resource::of(std::move(message)));
  }

  void states(pb::Health node, pb::Health instance) {
    node_.mutable_status()->mutable_health()->set_state(node);
    instance_.mutable_status()->set_state(instance);
    put(node_);
    put(instance_);
  }

  static pb::Grant grant(const std::string& tenant,
                         std::chrono::seconds expiry = std::chrono::seconds(0)) {
    auto out = named<pb::Grant>("eu-edge", tenant);
    out.mutable_spec()->set_cluster("eu-edge");
    if (expiry.count() != 0) out.mutable_spec()->mutable_expire_time()->set_seconds(expiry.count());
    return out;
  }

  void suspend(bool suspended) {
    auto tenant = named<pb::Tenant>("acme");
    tenant.mutable_spec()->set_suspended(suspended);
    put(tenant);
  }

  Lines urls() const {
    Lines out;
    const auto context = tenant_context(fleet_, "acme");
    for (const auto& endpoint : context->endpoints()) out.push_back(endpoint.url());
    return out;
  }

  Lines may_publish() const {
    Lines out;
    const pb::TenancySection section = plan_tenancy(fleet_, node_);
    for (const auto& entry : section.tenants())
      out.push_back(entry.tenant() + (entry.suspended() ? " suspended" : ""));
    return out;
  }

  Snapshot fleet_;
  pb::Node node_;
  pb::Service service_;
  pb::Instance instance_;
};

TEST_F(Tenants, ContextNamesClustersAndTheEndpointsThatWork) {
  const auto context = tenant_context(fleet_, "acme");
  ASSERT_TRUE(context);
  EXPECT_EQ(context->state(), pb::TENANT_STATE_ACTIVE);
  EXPECT_EQ(context->plan(), "default");
  EXPECT_EQ(context->primary_cluster(), "eu-edge");
  EXPECT_EQ(context->revision(), 7);
  ASSERT_EQ(context->clusters_size(), 1);
  EXPECT_EQ(context->clusters(0).region(), "eu-west");
  EXPECT_EQ(context->clusters(0).level(), pb::GRANT_LEVEL_USE);
  EXPECT_EQ(urls(), (Lines{"rtmp://10.99.4.1:1935/live"}));
}

TEST_F(Tenants, ATenantThatDoesNotExistIsNotFound) {
  const auto context = tenant_context(fleet_, "nobody");
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code(), Code::kNotFound);
  EXPECT_EQ(context.error().message(), "tenant \"nobody\" does not exist");
}

TEST_F(Tenants, WhoKeepsItsPlaceInTheAnswer) {
  struct Row {
    pb::Health node, instance;
    bool answered;
  };
  for (const Row& row : std::vector<Row>{{pb::HEALTH_HEALTHY, pb::HEALTH_HEALTHY, true},
                                         {pb::HEALTH_DEGRADED, pb::HEALTH_HEALTHY, true},
                                         {pb::HEALTH_SUSPECT, pb::HEALTH_HEALTHY, true},
                                         {pb::HEALTH_DOWN, pb::HEALTH_HEALTHY, false},
                                         {pb::HEALTH_UNKNOWN, pb::HEALTH_HEALTHY, false},
                                         {pb::HEALTH_HEALTHY, pb::HEALTH_DEGRADED, true},
                                         {pb::HEALTH_HEALTHY, pb::HEALTH_DOWN, false},
                                         {pb::HEALTH_HEALTHY, pb::HEALTH_UNSPECIFIED, false}}) {
    states(row.node, row.instance);
    EXPECT_EQ(!urls().empty(), row.answered)
        << "node " << pb::Health_Name(row.node) << ", instance " << pb::Health_Name(row.instance);
  }
}

TEST_F(Tenants, NobodyIsSentToADrainedNodeThatTheClusterKeeps) {
  node_.mutable_spec()->set_availability(pb::AVAILABILITY_DRAINED);
  put(node_);
  EXPECT_EQ(urls(), Lines{});
  EXPECT_EQ(tenant_context(fleet_, "acme")->clusters_size(), 1);
  node_.mutable_spec()->set_availability(pb::AVAILABILITY_ACTIVE);
  put(node_);
  EXPECT_EQ(urls(), (Lines{"rtmp://10.99.4.1:1935/live"}));
}

TEST_F(Tenants, NobodyIsSentToASaturatedNodeUnlessAllAre) {
  node_.mutable_status()->mutable_health()->set_state(pb::HEALTH_DEGRADED);
  node_.mutable_status()->mutable_health()->add_saturated("bandwidth");
  put(node_);
  EXPECT_EQ(urls(), (Lines{"rtmp://10.99.4.1:1935/live"})) << "full is better than none";
  pb::Node other = node_;
  other.mutable_metadata()->set_name("with-room");
  other.mutable_spec()->set_address("10.99.4.9");
  other.mutable_status()->mutable_health()->set_state(pb::HEALTH_HEALTHY);
  other.mutable_status()->mutable_health()->clear_saturated();
  put(other);
  pb::Instance instance = instance_;
  instance.mutable_metadata()->set_name("media.with-room");
  instance.mutable_spec()->set_node("with-room");
  put(instance);
  EXPECT_EQ(urls(), (Lines{"rtmp://10.99.4.9:1935/live"}));
}

TEST_F(Tenants, AGrantThatHasExpiredEntitlesToNothing) {
  put(grant("acme", kNow));
  EXPECT_EQ(tenant_context(fleet_, "acme")->clusters_size(), 0);
  EXPECT_TRUE(may_publish().empty());
  put(grant("acme", kNow + std::chrono::seconds(1)));
  EXPECT_EQ(tenant_context(fleet_, "acme")->clusters_size(), 1);
  EXPECT_EQ(may_publish(), (Lines{"acme"}));
}

TEST_F(Tenants, ASuspendedTenantKeepsItsClustersButHasNoEndpointsAndIsRefused) {
  suspend(true);
  EXPECT_EQ(tenant_context(fleet_, "acme")->state(), pb::TENANT_STATE_SUSPENDED);
  EXPECT_EQ(tenant_context(fleet_, "acme")->clusters_size(), 1);
  EXPECT_TRUE(urls().empty());
  EXPECT_EQ(may_publish(), (Lines{"acme suspended"}));
}

TEST_F(Tenants, AnIpv6AddressIsBracketedInUrls) {
  node_.mutable_spec()->set_address("2001:db8::1");
  put(node_);
  EXPECT_EQ(urls(), (Lines{"rtmp://[2001:db8::1]:1935/live"}));
}

TEST_F(Tenants, ANodeWithoutATenantFacingServiceServesNobody) {
  EXPECT_EQ(may_publish(), (Lines{"acme"}));
  service_.mutable_spec()->set_tenant_facing(false);
  put(service_);
  EXPECT_TRUE(may_publish().empty());
}

TEST_F(Tenants, AGrantAffectsTheNodesOfItsClusterOnly) {
  put(named<pb::Cluster>("us-edge"));
  auto other = named<pb::Node>("us-edge-1");
  other.mutable_spec()->set_cluster("us-edge");
  put(other);
  const Resource changed = Resource::of(grant("globex"));
  put(grant("globex"));
  EXPECT_EQ(tenancy_affected(fleet_, {}, changed), (std::set<std::string>{"eu-edge-1"}));
  EXPECT_EQ(tenancy_affected(fleet_, changed, {}), (std::set<std::string>{"eu-edge-1"}));
}

TEST_F(Tenants, ExplainsWhoMayUseWhat) {
  const Snapshot before = fleet_;
  suspend(true);
  put(named<pb::Tenant>("globex"));
  put(grant("globex"));
  fleet_.remove({"Grant", "acme", "eu-edge"});
  Lines lines;
  for (const pb::PlanStep& step : explain_tenants(before, fleet_))
    lines.push_back(step.action() + ": " + step.summary());
  EXPECT_EQ(lines, (Lines{"withdraw: acme may no longer use eu-edge",
                          "suspend: acme is refused by media servers",
                          "entitle: globex may use eu-edge"}));
  EXPECT_TRUE(explain_tenants(before, before).empty());
}

TEST_F(Tenants, AGrantThatWasAskedForOrRefusedEntitlesToNothing) {
  for (const auto& [approval, holds] :
       std::vector<std::pair<pb::Approval, bool>>{{pb::APPROVAL_UNSPECIFIED, true},
                                                  {pb::APPROVAL_REQUESTED, false},
                                                  {pb::APPROVAL_REJECTED, false},
                                                  {pb::APPROVAL_APPROVED, true}}) {
    pb::Grant asked = grant("acme");
    asked.mutable_spec()->set_approval(approval);
    put(asked);
    EXPECT_EQ(tenant_context(fleet_, "acme")->clusters_size(), holds ? 1 : 0) << approval;
    EXPECT_EQ(may_publish().empty(), !holds) << approval;
  }
}

TEST_F(Tenants, AGrantsLimitsOverrideTheTenantsAndLeaveTheOthers) {
  auto tenant = named<pb::Tenant>("acme");
  tenant.mutable_spec()->mutable_limits()->set_streams(10);
  tenant.mutable_spec()->mutable_limits()->set_viewers(500);
  put(tenant);
  pb::Grant more = grant("acme");
  more.mutable_spec()->mutable_limits()->set_streams(99);
  put(more);
  const auto context = tenant_context(fleet_, "acme");
  ASSERT_EQ(context->clusters_size(), 1);
  EXPECT_EQ(context->clusters(0).limits().streams(), 99);
  EXPECT_EQ(context->clusters(0).limits().viewers(), 500);
  EXPECT_EQ(context->limits().streams(), 10);
}

TEST_F(Tenants, AreFoundByEveryNameButADomainOnlyOnceVerified) {
  auto tenant = named<pb::Tenant>("acme");
  tenant.mutable_metadata()->set_uid("u-1");
  tenant.mutable_spec()->set_subdomain("acme-live");
  tenant.mutable_spec()->add_domains("live.acme.example");
  put(tenant);
  const auto found = [&](auto set) -> std::string {
    pb::TenantKey key;
    set(key);
    const auto result = find_tenant(fleet_, key);
    if (!result) return std::string(code_name(result.error().code()));
    return *result == nullptr ? "nobody" : (*result)->metadata().name();
  };
  EXPECT_EQ(found([](auto& key) { key.set_tenant("acme"); }), "acme");
  EXPECT_EQ(found([](auto& key) { key.set_uid("u-1"); }), "acme");
  EXPECT_EQ(found([](auto& key) { key.set_subdomain("acme-live"); }), "acme");
  EXPECT_EQ(found([](auto& key) { key.set_subdomain("acme"); }), "nobody");
  EXPECT_EQ(found([](auto& key) { key.set_domain("live.acme.example"); }), "nobody");
  EXPECT_EQ(found([](auto&) {}), "invalid_argument");
  EXPECT_EQ(found([](auto& key) {
              key.set_tenant("acme");
              key.set_uid("u-1");
            }),
            "invalid_argument");
  auto& status = *tenant.mutable_status()->add_domains();
  status.set_domain("live.acme.example");
  status.set_state(pb::DOMAIN_STATE_VERIFIED);
  put(tenant);
  EXPECT_EQ(found([](auto& key) { key.set_domain("live.acme.example"); }), "acme");
  EXPECT_EQ(tenant_context(fleet_, "acme")->domains(0), "live.acme.example");
}

TEST_F(Tenants, OfAClusterAreListedPageByPage) {
  for (const char* name : {"beta", "gamma"}) {
    put(named<pb::Tenant>(name));
    put(grant(name));
  }
  put(named<pb::Tenant>("late"));
  put(grant("late", kNow));  // expired
  pb::ListClusterTenantsRequest request;
  request.set_cluster("eu-edge");
  request.set_page_size(2);
  Lines seen;
  for (int page = 0; page < 2; ++page) {
    const auto response = cluster_tenants(fleet_, request);
    ASSERT_TRUE(response) << response.error().text();
    for (const auto& each : response->tenants()) seen.push_back(each.tenant());
    EXPECT_EQ(response->next_page_token().empty(), page == 1);
    request.set_page_token(response->next_page_token());
  }
  EXPECT_EQ(seen, (Lines{"acme", "beta", "gamma"}));
  request.set_page_token("bm90LW1pbmU=");
  EXPECT_EQ(cluster_tenants(fleet_, request).error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace frameworks
