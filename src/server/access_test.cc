// Who may do what, tried from outside: every method with every sort of caller, and what a caller
// that is bound to a tenant can find out of others.
#include <google/protobuf/empty.pb.h>
#include <gtest/gtest.h>

#include <map>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/audit_api.pb.h"
#include "frameworks/v1/diagnosis_api.pb.h"
#include "frameworks/v1/orchestration_api.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "machine/certificates/authority.h"
#include "server/access_fixture.h"

namespace frameworks {
namespace {

using google::protobuf::Empty;

// What this test expects of each method, beside what proto/ declares: the two are compared.
enum class Scope { kNone, kField, kFiltered, kOpen };
struct Expected {
  pb::Access least;
  Scope scope;
};
const std::map<std::string, Expected>& expectations() {
  using enum Scope;
  static const std::map<std::string, Expected> kTable{
      {"Fleet/Get", {pb::ACCESS_VIEWER, kFiltered}},
      {"Fleet/List", {pb::ACCESS_VIEWER, kFiltered}},
      {"Fleet/Apply", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Fleet/Delete", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Fleet/Watch", {pb::ACCESS_VIEWER, kFiltered}},
      {"Fleet/Status", {pb::ACCESS_VIEWER, kNone}},
      {"Machines/SetPower", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Machines/CreateJoinToken", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Operations/Watch", {pb::ACCESS_VIEWER, kNone}},
      {"Operations/Cancel", {pb::ACCESS_OPERATOR, kNone}},
      {"Orchestration/Discover", {pb::ACCESS_VIEWER, kNone}},
      {"Orchestration/WatchInstances", {pb::ACCESS_VIEWER, kNone}},
      {"Orchestration/StartRollout", {pb::ACCESS_OPERATOR, kNone}},
      {"Orchestration/ControlRollout", {pb::ACCESS_OPERATOR, kNone}},
      {"Orchestration/Drain", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Orchestration/Resume", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Inventory/Get", {pb::ACCESS_VIEWER, kNone}},
      {"Inventory/Export", {pb::ACCESS_VIEWER, kNone}},
      {"Diagnosis/Why", {pb::ACCESS_VIEWER, kFiltered}},
      {"Tenants/Create", {pb::ACCESS_OPERATOR, kNone}},
      {"Tenants/Update", {pb::ACCESS_OPERATOR, kNone}},
      {"Tenants/Suspend", {pb::ACCESS_OPERATOR, kNone}},
      {"Tenants/Resume", {pb::ACCESS_OPERATOR, kNone}},
      {"Tenants/Delete", {pb::ACCESS_OPERATOR, kNone}},
      {"Tenants/VerifyDomain", {pb::ACCESS_OPERATOR, kField}},
      {"Tenants/GetContext", {pb::ACCESS_VIEWER, kField}},
      {"Tenants/FindContext", {pb::ACCESS_VIEWER, kFiltered}},
      {"Tenants/BatchContexts", {pb::ACCESS_VIEWER, kFiltered}},
      {"Tenants/WatchContext", {pb::ACCESS_VIEWER, kField}},
      {"Tenants/ListByCluster", {pb::ACCESS_VIEWER, kFiltered}},
      {"Grants/Request", {pb::ACCESS_OPERATOR, kField}},
      {"Grants/Approve", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Grants/Reject", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Grants/CreateInvite", {pb::ACCESS_OPERATOR, kFiltered}},
      {"Grants/AcceptInvite", {pb::ACCESS_OPERATOR, kField}},
      {"Accounts/CreateToken", {pb::ACCESS_VIEWER, kFiltered}},
      {"Accounts/RevokeToken", {pb::ACCESS_VIEWER, kFiltered}},
      {"Accounts/WhoAmI", {pb::ACCESS_VIEWER, kOpen}},
      {"Accounts/ListProviders", {pb::ACCESS_ANYBODY, kOpen}},
      {"Accounts/Login", {pb::ACCESS_ANYBODY, kOpen}},
      {"Audit/List", {pb::ACCESS_VIEWER, kField}},
      {"Audit/Verify", {pb::ACCESS_ADMIN, kNone}},
      {"Backup/Create", {pb::ACCESS_ADMIN, kNone}},
  };
  return kTable;
}

// Every service that people call; agents and the machine helper have transports of their own.
std::vector<const google::protobuf::MethodDescriptor*> all_methods() {
  std::vector<const google::protobuf::MethodDescriptor*> out;
  for (const auto* file :
       {pb::GetRequest::descriptor()->file(), pb::TenantKey::descriptor()->file(),
        pb::CreateTokenRequest::descriptor()->file(), pb::ListAuditRequest::descriptor()->file(),
        pb::DrainNodeRequest::descriptor()->file(), pb::WhyRequest::descriptor()->file()})
    for (int i = 0; i < file->service_count(); ++i)
      for (int j = 0; j < file->service(i)->method_count(); ++j)
        out.push_back(file->service(i)->method(j));
  return out;
}
std::string name_of(const google::protobuf::MethodDescriptor& method) {
  return method.service()->name() + "/" + method.name();
}

TEST_F(AccessTest, EveryMethodHasALineInThisTestsTableAndDeclaresTheSame) {
  std::set<std::string> seen;
  for (const auto* method : all_methods()) {
    const std::string name = name_of(*method);
    seen.insert(name);
    const auto expected = expectations().find(name);
    ASSERT_NE(expected, expectations().end()) << name << ": say here who may call it";
    EXPECT_EQ(method->options().GetExtension(pb::access), expected->second.least) << name;
    EXPECT_EQ(static_cast<int>(method->options().GetExtension(pb::tenant_scope)),
              static_cast<int>(expected->second.scope))
        << name;
    if (method->options().GetExtension(pb::writes)) {
      EXPECT_NE(method->input_type()->FindFieldByName("dry_run"), nullptr) << name;
    }
  }
  EXPECT_EQ(seen.size(), expectations().size());
}

TEST_F(AccessTest, EveryMethodTakesAndRefusesTheCallersItSays) {
  const auto revoked = make_token("left");
  pb::RevokeTokenRequest revoke;
  revoke.set_name(revoked.name());
  pb::RevokeTokenResponse none;
  ASSERT_TRUE(call(client_->token(), "Accounts/RevokeToken", revoke, none).ok());
  const std::string expired = make_expired_token("viewer");
  const std::string disabled = token("left");
  client_->apply(FleetClient::yaml(R"(
apiVersion: frameworks/v1
kind: Account
metadata: {name: left}
spec: {role: admin, disabled: true}
)"));
  struct Sort {
    std::string name, token;
    pb::Access role;
    bool bound;
  };
  const std::vector<Sort> sorts{
      {"nobody", "", pb::ACCESS_ANYBODY, false},
      {"wrong token", "fwt_" + make_token("chief").name() + "_aaaaaaaaaaaaaaaa", pb::ACCESS_NOBODY,
       false},
      {"no token at all", "fwt_", pb::ACCESS_NOBODY, false},
      {"revoked", revoked.token(), pb::ACCESS_NOBODY, false},
      {"expired", expired, pb::ACCESS_NOBODY, false},
      {"disabled", disabled, pb::ACCESS_NOBODY, false},
      {"viewer", token("viewer"), pb::ACCESS_VIEWER, false},
      {"operator", token("operator"), pb::ACCESS_OPERATOR, false},
      {"admin", token("chief"), pb::ACCESS_ADMIN, false},
      {"acme-viewer", token("acme-viewer"), pb::ACCESS_VIEWER, true},
      {"acme-operator", token("acme-operator"), pb::ACCESS_OPERATOR, true},
      {"globex-admin", token("globex-admin"), pb::ACCESS_ADMIN, true},
  };
  for (const auto* method : all_methods()) {
    const std::string name = name_of(*method);
    const Expected& expected = expectations().at(name);
    for (const Sort& sort : sorts) {
      const auto status = probe(sort.token, name);
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) continue;  // not served yet
      const std::string where = name + " as " + sort.name + ": " + status.error_message();
      const bool known = sort.role > pb::ACCESS_ANYBODY;
      if (sort.role == pb::ACCESS_NOBODY || (!known && expected.least != pb::ACCESS_ANYBODY)) {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << where;
      } else if (sort.role < expected.least || (sort.bound && expected.scope == Scope::kNone)) {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << where;
      } else {
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << where;
        EXPECT_NE(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << where;
      }
    }
  }
}

TEST_F(AccessTest, ANodeByItsCertificateMayCallNothingThatIsForPeople) {
  const auto state = directory_.path() / "state";
  const auto authority = Authority::load_or_create(state, system_clock());
  ASSERT_TRUE(authority);
  const auto key = make_certificate_request();
  const auto issued = authority->sign_node(key->request_pem, "acme-own-1");
  ASSERT_TRUE(issued);
  const auto channel =
      test_channel(server_->grpc_port(), authority->certificate_pem(), key->key_pem, issued->pem);
  for (const auto* method : all_methods()) {
    const std::string name = name_of(*method);
    Empty response;
    const auto status = unary_call(*channel, "frameworks.v1." + name, "", Empty(), response);
    if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) continue;  // not served yet
    const bool open = expectations().at(name).least == pb::ACCESS_ANYBODY;
    EXPECT_EQ(status.error_code() != grpc::StatusCode::PERMISSION_DENIED, open)
        << name << ": " << status.error_message();
    EXPECT_NE(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << name;
  }
}

TEST_F(AccessTest, ATenantsCallerSeesItsOwnAndNothingElse) {
  const std::string acme = token("acme-operator");
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(acme, "tenants"), Names{"acme"});
  EXPECT_EQ(names(acme, "clusters"), (Names{"acme-own", "shared"}));
  EXPECT_EQ(names(acme, "nodes"), Names{"acme-own-1"});
  EXPECT_EQ(names(acme, "grants"), Names{"shared"});
  EXPECT_EQ(names(acme, "accounts"), (Names{"acme-operator", "acme-viewer"}));
  for (const char* kind : {"secrets", "operations", "services", "leases", "identityproviders"})
    EXPECT_EQ(names(acme, kind), Names{}) << kind;
  EXPECT_EQ(names(acme, "accesstokens").size(), 1u);
  EXPECT_EQ(names(client_->token(), "tenants"), (Names{"acme", "globex"}));
}

TEST_F(AccessTest, WhatIsForeignAnswersLikeWhatDoesNotExist) {
  const std::string acme = token("acme-operator");
  const std::vector<std::array<const char*, 3>> foreign{
      {"tenant", "globex", ""},       {"cluster", "globex-own", ""},
      {"node", "globex-own-1", ""},   {"secret", "password", ""},
      {"account", "chief", ""},       {"grant", "secret-deal", "globex"},
      {"account", "globex-admin", ""}};
  for (const auto& [kind, name, tenant] : foreign) {
    ASSERT_TRUE(get(client_->token(), kind, name, tenant).ok()) << kind;
    const std::string missing(std::string_view(name).size(), 'x');
    const auto text = [&](std::string message, const std::string& what) {
      const size_t at = message.find(what);
      return at == std::string::npos ? message : message.replace(at, what.size(), "NAME");
    };
    const auto there = get(acme, kind, name, tenant);
    const auto absent = get(acme, kind, missing, tenant);
    EXPECT_EQ(there.error_code(), grpc::StatusCode::NOT_FOUND) << kind;
    EXPECT_EQ(absent.error_code(), there.error_code());
    EXPECT_EQ(text(there.error_message(), name), text(absent.error_message(), missing));

    pb::DeleteRequest request;
    request.set_kind(kind);
    request.set_tenant(tenant);
    pb::ApplyResponse response;
    request.set_name(name);
    const auto deleted = call(acme, "Fleet/Delete", request, response);
    request.set_name(missing);
    const auto not_there = call(acme, "Fleet/Delete", request, response);
    EXPECT_FALSE(deleted.ok());
    EXPECT_EQ(deleted.error_code(), not_there.error_code()) << kind;
    EXPECT_EQ(text(deleted.error_message(), name), text(not_there.error_message(), missing));
  }
  pb::GetTenantContextRequest request;
  pb::TenantContext context;
  request.set_tenant("globex");
  const auto theirs = call(acme, "Tenants/GetContext", request, context);
  request.set_tenant("nobody");
  const auto nobodys = call(acme, "Tenants/GetContext", request, context);
  EXPECT_EQ(theirs.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(theirs.error_message(), "tenant \"globex\" does not exist");
  EXPECT_EQ(nobodys.error_message(), "tenant \"nobody\" does not exist");
  request.set_tenant("acme");
  EXPECT_TRUE(call(acme, "Tenants/GetContext", request, context).ok());
}

TEST_F(AccessTest, ATenantEnrolsItsOwnNodesAndOnlyItsOwn) {
  const std::string acme = token("acme-operator");
  const auto apply = [&](const std::string& name, const std::string& cluster) {
    pb::ApplyResponse response;
    const auto status =
        call(acme, "Fleet/Apply",
             FleetClient::yaml("apiVersion: frameworks/v1\nkind: Node\nmetadata: {name: " + name +
                               "}\nspec: {cluster: " + cluster + ", address: 192.0.2.20}\n"),
             response);
    EXPECT_EQ(response.plan().blast_radius().ByteSizeLong(), 0u);
    return status.ok() ? std::string("ok")
                       : status.error_message() + FleetClient::violations(status);
  };
  EXPECT_EQ(apply("acme-own-2", "acme-own"), "ok");
  EXPECT_NE(apply("globex-own-2", "globex-own").find("does not exist"), std::string::npos);
  EXPECT_EQ(apply("globex-own-2", "globex-own").find("globex\""), std::string::npos);
  EXPECT_NE(apply("shared-1", "shared").find("not run by tenant"), std::string::npos);
  EXPECT_NE(apply("globex-own-1", "acme-own").find("begin with"), std::string::npos);

  const auto join = [&](const std::string& cluster) {
    pb::CreateJoinTokenRequest request;
    request.set_cluster(cluster);
    pb::CreateJoinTokenResponse response;
    return call(acme, "Machines/CreateJoinToken", request, response).error_code();
  };
  EXPECT_EQ(join("acme-own"), grpc::StatusCode::OK);
  EXPECT_EQ(join("shared"), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(join("globex-own"), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace frameworks
