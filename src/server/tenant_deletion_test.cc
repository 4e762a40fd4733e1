// How tenants go, whichever way they are deleted, and whose a custom domain is.
#include <gtest/gtest.h>

#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/service.pb.h"
#include "server/tenant_fixture.h"

namespace frameworks {
namespace {

using grpc::StatusCode;

constexpr const char* kFleet = R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
spec: {primaryCluster: acme-own, domains: [live.acme.example]}
---
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: globex}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: shared}
spec: {tier: edge, region: eu-west, networks: {mesh: 10.64.1.0/24}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: acme-own}
spec: {tier: edge, region: eu-west, owner: acme, sharing: customer-managed, networks: {mesh: 10.64.2.0/24, machines: 10.99.2.0/24}}
---
apiVersion: frameworks/v1
kind: MachinePool
metadata: {name: acme-own}
spec: {cluster: acme-own, count: 2}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: shared, tenant: acme}
spec: {cluster: shared}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: acme-own, tenant: acme}
spec: {cluster: acme-own}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: guest, tenant: globex}
spec: {cluster: acme-own}
---
apiVersion: frameworks/v1
kind: Service
metadata: {name: media}
spec: {role: nginx_rtmp, tenantFacing: true, placement: {tiers: [edge]}}
---
apiVersion: frameworks/v1
kind: Account
metadata: {name: acme-operator}
spec: {role: operator, tenant: acme}
)";

class TenantDeletion : public TenantFixture {
 protected:
  TenantDeletion() { apply(kFleet); }

  StatusCode remove(const std::string& tenant, bool dry_run = false) {
    pb::DeleteTenantRequest request;
    request.set_tenant(tenant);
    request.set_dry_run(dry_run);
    return call("Delete", request);
  }
  std::vector<std::string> waiting() {
    const auto tenant = find<pb::Tenant>("acme");
    return {tenant.status().waiting().begin(), tenant.status().waiting().end()};
  }
  void remove_guest() {
    pb::DeleteRequest request;
    request.set_kind("Grant");
    request.set_tenant("globex");
    request.set_name("guest");
    pb::ApplyResponse response;
    ASSERT_EQ(call("Fleet/Delete", request, response), StatusCode::OK) << text_;
  }
  // The server has looked for acme's domain once, in vain.
  bool was_looked_for() {
    return eventually([&] {
      return find<pb::Tenant>("acme").status().domains(0).state() == pb::DOMAIN_STATE_FAILED;
    });
  }
  bool is_gone() {
    return eventually([&] { return !exists<pb::Tenant>("acme"); });
  }
};

TEST_F(TenantDeletion, ADryRunTellsTheOrderAndDoesNothing) {
  ASSERT_EQ(remove("acme", true), StatusCode::OK) << text_;
  const auto& told = response_.tenant().status();
  EXPECT_EQ(told.state(), pb::TENANT_STATE_DELETING);
  ASSERT_EQ(told.waiting_size(), 4);
  EXPECT_EQ(told.waiting(0), "2 grants");
  EXPECT_EQ(told.waiting(1),
            "cluster \"acme-own\" with 2 nodes and 2 instances: others use it by "
            "Grant/globex/guest: delete it first, or give the cluster another owner");
  EXPECT_EQ(told.waiting(2), "1 account");
  EXPECT_EQ(told.waiting(3), "names \"acme\", \"live.acme.example\"");
  EXPECT_FALSE(find<pb::Tenant>("acme").metadata().has_delete_time());
  EXPECT_EQ(remove("nobody"), StatusCode::NOT_FOUND);
}

TEST_F(TenantDeletion, TheTenantIsRefusedAtOnceAndGoesWhenNobodyIsInTheWay) {
  const std::string token = token_of("acme-operator");
  ASSERT_EQ(remove("acme"), StatusCode::OK) << text_;
  // At once, while the cluster that another tenant uses is still in the way.
  EXPECT_EQ(client_->context("acme").state(), pb::TENANT_STATE_DELETING);
  EXPECT_EQ(client_->context("acme").endpoints_size(), 0);
  token_ = token;
  pb::WhoAmIResponse who;
  EXPECT_EQ(call("Accounts/WhoAmI", pb::WhoAmIRequest(), who), StatusCode::UNAUTHENTICATED);
  token_.clear();
  ASSERT_TRUE(eventually([&] { return waiting().size() == 3; }));
  EXPECT_TRUE(exists<pb::Node>("acme-own-1"));
  EXPECT_TRUE(exists<pb::Account>("acme-operator"));
  EXPECT_EQ(create("acme"), StatusCode::ALREADY_EXISTS);
  EXPECT_NE(text_.find("is being deleted"), std::string::npos) << text_;
  EXPECT_EQ(remove("acme"), StatusCode::OK) << "the same again changes nothing: " << text_;

  start();  // it goes on in the next server
  remove_guest();
  ASSERT_TRUE(is_gone()) << waiting()[0];
  EXPECT_FALSE(exists<pb::Cluster>("acme-own"));
  EXPECT_FALSE(exists<pb::Node>("acme-own-1"));
  EXPECT_FALSE(exists<pb::Instance>("media.acme-own-1"));
  EXPECT_FALSE(exists<pb::Account>("acme-operator"));
  EXPECT_EQ(remove("acme"), StatusCode::NOT_FOUND);
  EXPECT_EQ(create("acme"), StatusCode::OK) << "its names are free again: " << text_;
}

TEST_F(TenantDeletion, DeletingItAsAResourceIsTheSame) {
  pb::DeleteRequest request;
  request.set_kind("Tenant");
  request.set_name("acme");
  request.set_dry_run(true);
  pb::ApplyResponse response;
  ASSERT_EQ(call("Fleet/Delete", request, response), StatusCode::OK) << text_;
  ASSERT_GT(response.plan().steps_size(), 0);
  EXPECT_EQ(response.plan().steps(0).action(), "delete");
  EXPECT_NE(response.plan().steps(0).summary().find("2 grants, then cluster \"acme-own\""),
            std::string::npos)
      << response.plan().steps(0).summary();
  request.set_dry_run(false);
  ASSERT_EQ(call("Fleet/Delete", request, response), StatusCode::OK) << text_;
  EXPECT_EQ(find<pb::Tenant>("acme").status().state(), pb::TENANT_STATE_DELETING);
  remove_guest();
  EXPECT_TRUE(is_gone());
}

TEST_F(TenantDeletion, PruningATenantIsTheSameAndAnApplyDoesNotReviveIt) {
  pb::ApplyRequest request = FleetClient::yaml(R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: globex}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: shared}
spec: {tier: edge, region: eu-west, networks: {mesh: 10.64.1.0/24}}
---
apiVersion: frameworks/v1
kind: Account
metadata: {name: acme-operator}
spec: {role: operator, tenant: acme}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: acme-own}
spec: {tier: edge, region: eu-west, owner: acme, sharing: dedicated, networks: {mesh: 10.64.2.0/24, machines: 10.99.2.0/24}}
)");
  request.set_prune(true);
  client_->apply(request);
  ASSERT_TRUE(eventually([&] { return waiting().size() == 3; }));
  EXPECT_NE(waiting()[0].find("is dedicated to the tenant"), std::string::npos) << waiting()[0];
  pb::ApplyResponse response;
  EXPECT_EQ(call("Fleet/Apply",
                 FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: "
                                   "acme}\nspec: {plan: pro}\n"),
                 response),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(text_.find("is being deleted"), std::string::npos) << text_;
  request.mutable_items()->RemoveLast();  // the cluster goes by the file as well
  client_->apply(request);
  EXPECT_TRUE(is_gone());
}

TEST_F(TenantDeletion, ADomainIsVerifiedNowWhenAskedAndByNobodyElse) {
  ASSERT_TRUE(was_looked_for());
  const std::string challenge = find<pb::Tenant>("acme").status().domains(0).challenge();
  txt_.set("_frameworks.live.acme.example", {challenge});
  pb::VerifyDomainRequest request;
  request.set_tenant("acme");
  request.set_domain("live.acme.example");
  request.set_dry_run(true);
  pb::VerifyDomainResponse response;
  ASSERT_EQ(call("Tenants/VerifyDomain", request, response), StatusCode::OK) << text_;
  EXPECT_EQ(response.domain().state(), pb::DOMAIN_STATE_VERIFIED);
  EXPECT_NE(find<pb::Tenant>("acme").status().domains(0).state(), pb::DOMAIN_STATE_VERIFIED);
  request.set_dry_run(false);
  token_ = token_of("acme-operator");
  ASSERT_EQ(call("Tenants/VerifyDomain", request, response), StatusCode::OK) << text_;
  EXPECT_EQ(find<pb::Tenant>("acme").status().domains(0).state(), pb::DOMAIN_STATE_VERIFIED);
  request.set_domain("tv.acme.example");
  EXPECT_EQ(call("Tenants/VerifyDomain", request, response), StatusCode::NOT_FOUND);
  token_.clear();

  pb::FindTenantContextRequest by_domain;
  by_domain.mutable_key()->set_domain("live.acme.example");
  pb::TenantContext context;
  ASSERT_EQ(call("Tenants/FindContext", by_domain, context), StatusCode::OK) << text_;
  EXPECT_EQ(context.tenant(), "acme");
  // It is nobody else's to claim now.
  pb::UpdateTenantRequest claim;
  claim.mutable_tenant()->mutable_metadata()->set_name("globex");
  claim.mutable_tenant()->mutable_spec()->add_domains("live.acme.example");
  claim.add_fields("spec.domains");
  EXPECT_EQ(call("Update", claim), StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(text_.find("belongs to Tenant/acme"), std::string::npos) << text_;
}

TEST_F(TenantDeletion, AClaimThatWasNotProvenIsNotInTheOwnersWay) {
  pb::UpdateTenantRequest claim;
  claim.mutable_tenant()->mutable_metadata()->set_name("globex");
  claim.mutable_tenant()->mutable_spec()->add_domains("live.acme.example");
  claim.add_fields("spec.domains");
  ASSERT_EQ(call("Update", claim), StatusCode::OK) << text_;
  const std::string challenge = response_.tenant().status().domains(0).challenge();
  EXPECT_NE(challenge, find<pb::Tenant>("acme").status().domains(0).challenge());
  txt_.set("_frameworks.live.acme.example", {challenge});
  pb::VerifyDomainRequest request;
  request.set_tenant("globex");
  request.set_domain("live.acme.example");
  pb::VerifyDomainResponse response;
  ASSERT_EQ(call("Tenants/VerifyDomain", request, response), StatusCode::OK) << text_;
  EXPECT_EQ(response.domain().state(), pb::DOMAIN_STATE_VERIFIED);
  pb::FindTenantContextRequest by_domain;
  by_domain.mutable_key()->set_domain("live.acme.example");
  pb::TenantContext context;
  ASSERT_EQ(call("Tenants/FindContext", by_domain, context), StatusCode::OK) << text_;
  EXPECT_EQ(context.tenant(), "globex");
}

}  // namespace
}  // namespace frameworks
