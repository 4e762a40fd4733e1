// Grants and invites, and what their levels let a tenant's callers do.
#include <gtest/gtest.h>

#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/agent.pb.h"
#include "server/tenant_fixture.h"

namespace frameworks {
namespace {

using grpc::StatusCode;

constexpr const char* kFleet = R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
spec: {limits: {streams: 10, viewers: 500}}
---
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: globex}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: shared}
spec: {tier: edge, region: eu-west, networks: {mesh: 10.64.1.0/24, machines: 10.99.1.0/24}}
---
apiVersion: frameworks/v1
kind: MachinePool
metadata: {name: shared}
spec: {cluster: shared, count: 1}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: acme-own}
spec: {tier: edge, region: eu-west, owner: acme, sharing: customer-managed, networks: {mesh: 10.64.2.0/24}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: globex-own}
spec: {tier: edge, region: eu-west, owner: globex, sharing: customer-managed, networks: {mesh: 10.64.3.0/24}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: globex-dear}
spec: {tier: edge, region: eu-west, owner: globex, sharing: dedicated, networks: {mesh: 10.64.4.0/24}}
---
apiVersion: frameworks/v1
kind: Account
metadata: {name: acme-operator}
spec: {role: operator, tenant: acme}
---
apiVersion: frameworks/v1
kind: Account
metadata: {name: globex-operator}
spec: {role: operator, tenant: globex}
)";

class GrantMethods : public TenantFixture {
 protected:
  GrantMethods() {
    apply(kFleet);
    acme_ = token_of("acme-operator");
    globex_ = token_of("globex-operator");
  }

  StatusCode ask(const std::string& tenant, const std::string& cluster,
                 pb::GrantLevel level = pb::GRANT_LEVEL_UNSPECIFIED) {
    pb::RequestGrantRequest request;
    request.set_tenant(tenant);
    request.set_cluster(cluster);
    request.set_level(level);
    request.set_reason("a match on Saturday");
    return call("Grants/Request", request, grant_);
  }
  StatusCode approve(const std::string& tenant, const std::string& grant,
                     std::chrono::seconds expires_after = {}, int64_t streams = 0) {
    pb::ApproveGrantRequest request;
    request.set_tenant(tenant);
    request.set_grant(grant);
    if (expires_after.count() != 0)
      request.mutable_expire_time()->set_seconds(
          std::chrono::duration_cast<std::chrono::seconds>(
              system_clock().wall().time_since_epoch() + expires_after)
              .count());
    if (streams != 0) request.mutable_limits()->set_streams(streams);
    return call("Grants/Approve", request, grant_);
  }
  StatusCode reject(const std::string& tenant, const std::string& grant) {
    pb::RejectGrantRequest request;
    request.set_tenant(tenant);
    request.set_grant(grant);
    request.set_reason("no room");
    return call("Grants/Reject", request, grant_);
  }
  StatusCode invite(const std::string& cluster, int uses = 0, const std::string& for_tenant = {}) {
    pb::CreateInviteRequest request;
    request.set_cluster(cluster);
    request.set_max_uses(uses);
    request.set_for_tenant(for_tenant);
    request.mutable_limits()->set_streams(3);
    return call("Grants/CreateInvite", request, invite_);
  }
  StatusCode accept(const std::string& tenant, const std::string& code, bool dry_run = false) {
    pb::AcceptInviteRequest request;
    request.set_tenant(tenant);
    request.set_code(code);
    request.set_dry_run(dry_run);
    return call("Grants/AcceptInvite", request, grant_);
  }
  pb::GrantState state(const std::string& tenant, const std::string& grant) {
    return find<pb::Grant>(grant, tenant).status().state();
  }
  // What a tenant's caller gets for a node that it writes.
  StatusCode write_node(const std::string& name, const std::string& cluster,
                        const std::string& label = "x") {
    pb::ApplyResponse response;
    return call("Fleet/Apply",
                FleetClient::yaml("apiVersion: frameworks/v1\nkind: Node\nmetadata: {name: " +
                                  name + ", labels: {l: " + label +
                                  "}}\nspec: {cluster: " + cluster + ", address: 192.0.2.20}\n"),
                response);
  }
  StatusCode join(const std::string& cluster) {
    pb::CreateJoinTokenRequest request;
    request.set_cluster(cluster);
    pb::CreateJoinTokenResponse response;
    return call("Machines/CreateJoinToken", request, response);
  }
  StatusCode switch_off(const std::string& node) {
    pb::SetPowerRequest request;
    request.set_node(node);
    request.set_dry_run(true);
    pb::SetPowerResponse response;
    return call("Machines/SetPower", request, response);
  }

  std::string acme_, globex_;
  pb::GrantResponse grant_;
  pb::CreateInviteResponse invite_;
};

TEST_F(GrantMethods, WhatATenantAsksForIsVoidUntilAnOperatorApproves) {
  token_ = acme_;
  ASSERT_EQ(ask("acme", "shared"), StatusCode::OK) << text_;
  EXPECT_EQ(grant_.grant().metadata().name(), "shared");
  EXPECT_EQ(grant_.grant().status().state(), pb::GRANT_STATE_REQUESTED);
  EXPECT_EQ(ask("acme", "shared"), StatusCode::OK) << "asking twice is asking once: " << text_;
  EXPECT_EQ(approve("acme", "shared"), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ask("globex", "shared"), StatusCode::NOT_FOUND) << "for another tenant";
  token_.clear();
  EXPECT_EQ(client_->context("acme").clusters_size(), 0);
  ASSERT_EQ(approve("acme", "shared", {}, 99), StatusCode::OK) << text_;
  EXPECT_EQ(grant_.grant().status().state(), pb::GRANT_STATE_ACTIVE);
  const auto context = client_->context("acme");
  ASSERT_EQ(context.clusters_size(), 1);
  EXPECT_EQ(context.clusters(0).limits().streams(), 99) << "the grant's";
  EXPECT_EQ(context.clusters(0).limits().viewers(), 500) << "the tenant's";
  ASSERT_EQ(reject("acme", "shared"), StatusCode::OK) << text_;
  EXPECT_EQ(state("acme", "shared"), pb::GRANT_STATE_REJECTED);
  EXPECT_EQ(client_->context("acme").clusters_size(), 0);
  token_ = acme_;
  ASSERT_EQ(ask("acme", "shared", pb::GRANT_LEVEL_OPERATE), StatusCode::OK) << text_;
  EXPECT_EQ(state("acme", "shared"), pb::GRANT_STATE_REQUESTED);
  EXPECT_EQ(approve("acme", "nothing"), StatusCode::NOT_FOUND);
}

TEST_F(GrantMethods, AForeignClusterAnswersLikeOneThatDoesNotExist) {
  token_ = acme_;
  for (const char* cluster : {"globex-own", "globex-dear", "nowhere"}) {
    EXPECT_EQ(ask("acme", cluster), StatusCode::NOT_FOUND) << cluster;
    EXPECT_EQ(text_, std::string("Cluster/") + cluster + ": not found");
    EXPECT_EQ(invite(cluster), StatusCode::NOT_FOUND) << cluster;
    EXPECT_EQ(text_, std::string("Cluster/") + cluster + ": not found");
  }
  token_.clear();
  EXPECT_EQ(ask("acme", "globex-dear"), StatusCode::INVALID_ARGUMENT)
      << "a dedicated cluster serves one tenant";
}

TEST_F(GrantMethods, WhoRunsAClusterGivesAccessToItAndTakesItBack) {
  ASSERT_EQ(ask("globex", "acme-own"), StatusCode::OK) << text_;
  token_ = acme_;
  ASSERT_EQ(approve("globex", "acme-own"), StatusCode::OK) << text_;
  EXPECT_EQ(state("globex", "acme-own"), pb::GRANT_STATE_ACTIVE);
  ASSERT_EQ(reject("globex", "acme-own"), StatusCode::OK) << text_;
  ASSERT_EQ(invite("acme-own"), StatusCode::OK) << text_;
  EXPECT_EQ(invite("acme-own", 1, "globex"), StatusCode::INVALID_ARGUMENT)
      << "would tell which tenants there are";
  EXPECT_EQ(invite("shared"), StatusCode::NOT_FOUND);
  token_ = globex_;
  EXPECT_EQ(approve("globex", "acme-own"), StatusCode::PERMISSION_DENIED);
}

TEST_F(GrantMethods, ExpiryIsAtItsMoment) {
  ASSERT_EQ(ask("acme", "shared"), StatusCode::OK) << text_;
  EXPECT_EQ(approve("acme", "shared", std::chrono::seconds(-1)), StatusCode::INVALID_ARGUMENT);
  ASSERT_EQ(approve("acme", "shared", std::chrono::seconds(6)), StatusCode::OK) << text_;
  EXPECT_EQ(client_->context("acme").clusters_size(), 1);
  // Nobody writes but the keeper.
  EXPECT_TRUE(eventually([&] { return client_->context("acme").clusters_size() == 0; }));
  EXPECT_EQ(state("acme", "shared"), pb::GRANT_STATE_EXPIRED);
  EXPECT_GE(system_clock().wall().time_since_epoch(),
            std::chrono::seconds(find<pb::Grant>("shared", "acme").spec().expire_time().seconds()));
}

TEST_F(GrantMethods, AnInviteGivesEachOfSoManyTenantsOneGrant) {
  ASSERT_EQ(invite("shared", 2), StatusCode::OK) << text_;
  const std::string code = invite_.token();
  token_ = acme_;
  ASSERT_EQ(accept("acme", code, true), StatusCode::OK) << text_;
  EXPECT_FALSE(exists<pb::Grant>("shared", "acme"));
  ASSERT_EQ(accept("acme", code), StatusCode::OK) << text_;
  const pb::Metadata made = grant_.grant().metadata();
  EXPECT_EQ(grant_.grant().status().state(), pb::GRANT_STATE_ACTIVE);
  EXPECT_EQ(grant_.grant().spec().limits().streams(), 3);
  ASSERT_EQ(accept("acme", code), StatusCode::OK) << "the same again is the same grant";
  EXPECT_EQ(grant_.grant().metadata().revision(), made.revision());
  EXPECT_EQ(grant_.grant().metadata().uid(), made.uid());
  EXPECT_EQ(find<pb::Invite>(invite_.name()).status().uses(), 1);
  token_ = globex_;
  ASSERT_EQ(accept("globex", code), StatusCode::OK) << text_;
  EXPECT_EQ(find<pb::Invite>(invite_.name()).status().uses(), 2);
  token_.clear();
  ASSERT_EQ(create("third"), StatusCode::OK);
  EXPECT_EQ(accept("third", code), StatusCode::NOT_FOUND) << "used up";
  EXPECT_EQ(find<pb::Invite>(invite_.name()).status().uses(), 2);
  for (const auto& file : std::filesystem::directory_iterator(directory_.path() / "state"))
    if (file.is_regular_file()) {
      EXPECT_EQ(read_file(file.path())->find(code.substr(code.rfind('_') + 1)), std::string::npos)
          << file.path();
    }
}

TEST_F(GrantMethods, EveryWrongCodeAnswersAlikeAndConsumesNothing) {
  ASSERT_EQ(invite("shared", 1, "globex"), StatusCode::OK) << text_;
  const std::string bound = invite_.token();
  token_ = acme_;
  EXPECT_EQ(accept("acme", bound), StatusCode::NOT_FOUND);
  const std::string alike = text_;
  std::string forged = bound;
  forged.back() = forged.back() == '0' ? '1' : '0';
  for (const std::string& code :
       {std::string("fwi_"), std::string("nonsense"), forged, bound.substr(0, bound.rfind('_')),
        "fwi_nobody_" + bound.substr(bound.rfind('_') + 1)}) {
    EXPECT_EQ(accept("acme", code), StatusCode::NOT_FOUND) << code;
    EXPECT_EQ(text_, alike) << code;
  }
  // Who has a grant already is told so, and the invite is still good.
  token_.clear();
  ASSERT_EQ(ask("globex", "shared"), StatusCode::OK);
  EXPECT_EQ(accept("globex", bound), StatusCode::ALREADY_EXISTS) << text_;
  EXPECT_EQ(find<pb::Invite>(invite_.name()).status().uses(), 0);
  // Guessing is slowed down, as of tokens.
  token_ = acme_;
  int told = 0;
  for (int i = 0; i < 400 && told == 0; ++i)
    told += accept("acme", "fwi_x_" + std::to_string(i)) == StatusCode::RESOURCE_EXHAUSTED;
  EXPECT_EQ(told, 1);
}

TEST_F(GrantMethods, AnInviteThatIsTakenBackOrWhoseClusterGoesIsNoneAnyMore) {
  token_ = acme_;
  ASSERT_EQ(invite("acme-own"), StatusCode::OK) << text_;
  pb::DeleteRequest request;
  request.set_kind("Invite");
  request.set_name(invite_.name());
  pb::ApplyResponse response;
  token_ = globex_;
  EXPECT_EQ(call("Fleet/Delete", request, response), StatusCode::NOT_FOUND);
  token_ = acme_;
  ASSERT_EQ(call("Fleet/Delete", request, response), StatusCode::OK) << text_;
  token_ = globex_;
  EXPECT_EQ(accept("globex", invite_.token()), StatusCode::NOT_FOUND);
}

TEST_F(GrantMethods, ALevelLetsTheTenantDoWhatItSaysAndNoMore) {
  struct Row {
    pb::GrantLevel level;
    StatusCode sees, configures, switches, enrols, joins, invites;
  };
  using enum StatusCode;
  for (const Row& row :
       std::vector<Row>{{pb::GRANT_LEVEL_USE, NOT_FOUND, INVALID_ARGUMENT, NOT_FOUND,
                         INVALID_ARGUMENT, PERMISSION_DENIED, PERMISSION_DENIED},
                        {pb::GRANT_LEVEL_OPERATE, OK, OK, OK, INVALID_ARGUMENT, PERMISSION_DENIED,
                         PERMISSION_DENIED},
                        {pb::GRANT_LEVEL_OWN, OK, OK, OK, OK, OK, OK}}) {
    token_.clear();
    if (exists<pb::Grant>("shared", "acme")) {
      ASSERT_EQ(reject("acme", "shared"), OK);
    }
    ASSERT_EQ(ask("acme", "shared", row.level), OK) << text_;
    token_ = acme_;
    EXPECT_EQ(switch_off("shared-1"), NOT_FOUND) << "not before it is approved";
    token_.clear();
    ASSERT_EQ(approve("acme", "shared"), OK) << text_;
    token_ = acme_;
    const std::string level = pb::GrantLevel_Name(row.level);
    pb::GetRequest get;
    get.set_kind("Node");
    get.set_name("shared-1");
    pb::GetResponse got;
    EXPECT_EQ(call("Fleet/Get", get, got), row.sees) << level;
    pb::Node node;
    got.resource().UnpackTo(&node);
    pb::ApplyRequest change;
    node.mutable_metadata()->set_name("shared-1");
    node.mutable_spec()->set_cluster("shared");
    node.mutable_metadata()->set_revision(0);
    (*node.mutable_metadata()->mutable_labels())["by"] = level;
    *change.add_items()->mutable_resource() = pack(Resource::of(node));
    pb::ApplyResponse changed;
    EXPECT_EQ(call("Fleet/Apply", change, changed), row.configures) << level << text_;
    EXPECT_EQ(switch_off("shared-1"), row.switches) << level << text_;
    EXPECT_EQ(write_node("shared-77", "shared"), row.enrols) << level << text_;
    EXPECT_EQ(join("shared"), row.joins) << level << text_;
    EXPECT_EQ(invite("shared"), row.invites) << level << text_;
    EXPECT_EQ(write_node("globex-own-1", "globex-own"), INVALID_ARGUMENT) << level;
  }
}

TEST_F(GrantMethods, ALimitIsWhereItBinds) {
  apply(R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
spec: {limits: {nodes: 2, clusters: 1}, features: {dvr: true, bitrate: 6000, region: eu}}
)");
  token_ = acme_;
  EXPECT_EQ(write_node("acme-own-1", "acme-own"), StatusCode::OK) << text_;
  pb::ApplyResponse response;
  const auto second = [](const char* name, const char* address) {
    return FleetClient::yaml(
        std::string("apiVersion: frameworks/v1\nkind: Node\nmetadata: {name: ") + name +
        "}\nspec: {cluster: acme-own, address: " + address + "}\n");
  };
  EXPECT_EQ(call("Fleet/Apply", second("acme-own-2", "192.0.2.21"), response), StatusCode::OK)
      << text_;
  EXPECT_EQ(call("Fleet/Apply", second("acme-own-3", "192.0.2.22"), response),
            StatusCode::INVALID_ARGUMENT);
  token_.clear();
  const auto cluster = FleetClient::yaml(R"(
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: acme-two}
spec: {tier: edge, region: eu-west, owner: acme, sharing: customer-managed, networks: {mesh: 10.64.9.0/24}}
)");
  EXPECT_EQ(call("Fleet/Apply", cluster, response), StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(text_.find("its limit is 1"), std::string::npos) << text_;
  const auto context = client_->context("acme");
  EXPECT_TRUE(context.features().at("dvr").bool_value());
  EXPECT_EQ(context.features().at("bitrate").number_value(), 6000);
  EXPECT_EQ(context.features().at("region").string_value(), "eu");
}

}  // namespace
}  // namespace frameworks
