#include <gtest/gtest.h>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "frameworks/v1/tenants_api.grpc.pb.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"

namespace frameworks {
namespace {

using grpc::StatusCode;

constexpr const char* kFleet = R"(
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: eu}
spec: {tier: edge, region: eu-west, networks: {mesh: 10.64.1.0/24}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: us}
spec: {tier: edge, region: us-east, networks: {mesh: 10.64.2.0/24}}
---
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
spec: {plan: pro}
---
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: other}
spec: {plan: free}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: eu, tenant: acme}
spec: {cluster: eu}
---
apiVersion: frameworks/v1
kind: Account
metadata: {name: acme-shop}
spec: {role: viewer, tenant: acme}
---
apiVersion: frameworks/v1
kind: Account
metadata: {name: watcher}
spec: {role: viewer}
)";

class ContextMethods : public ServerFixture {
 protected:
  ContextMethods() {
    start();
    client_->apply(FleetClient::yaml(kFleet));
  }

  void set_plan(const std::string& tenant, const std::string& plan) {
    pb::UpdateTenantRequest request;
    request.mutable_tenant()->mutable_metadata()->set_name(tenant);
    request.mutable_tenant()->mutable_spec()->set_plan(plan);
    request.add_fields("spec.plan");
    pb::TenantResponse response;
    ASSERT_TRUE(client_->call("Tenants/Update", request, response).ok());
  }

  HttpClient::Response get(HttpClient& http, const std::string& etag) {
    http.send("GET /v1/tenants/acme/context HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              client_->token() + (etag.empty() ? "" : "\r\nIf-None-Match: " + etag) + "\r\n\r\n");
    return http.read_response();
  }

  std::string token_of(const std::string& account) {
    pb::CreateTokenRequest request;
    request.set_account(account);
    pb::CreateTokenResponse response;
    const auto status = client_->call("Accounts/CreateToken", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.token();
  }

  StatusCode find_by_key(const std::string& key, pb::TenantContext& context) {
    pb::FindTenantContextRequest request;
    request.mutable_key()->set_api_key(key);
    context.Clear();
    return client_->call("Tenants/FindContext", request, context).error_code();
  }

};

TEST_F(ContextMethods, AnEtagIsGoodWhileOnlyOtherThingsChange) {
  HttpClient http(server_->rest_port());
  const auto first = get(http, "");
  ASSERT_EQ(first.status, 200);
  const size_t at = first.head.find("ETag: ") + 6;
  const std::string etag = first.head.substr(at, first.head.find('\r', at) - at);
  set_plan("other", "pro");
  EXPECT_EQ(get(http, etag).status, 304);
  set_plan("acme", "free");
  const auto changed = get(http, etag);
  EXPECT_EQ(changed.status, 200);
  EXPECT_NE(changed.body.find(R"("plan":"free")"), std::string::npos) << changed.body;

  pb::GetTenantContextRequest request;
  request.set_tenant("acme");
  pb::TenantContext context;
  ASSERT_TRUE(client_->call("Tenants/GetContext", request, context).ok());
  request.set_if_none_match(context.revision());
  set_plan("other", "free");
  ASSERT_TRUE(client_->call("Tenants/GetContext", request, context).ok());
  EXPECT_TRUE(context.not_modified());
  EXPECT_EQ(context.tenant(), "");
  request.set_if_none_match(1'000'000);
  ASSERT_TRUE(client_->call("Tenants/GetContext", request, context).ok());
  EXPECT_FALSE(context.not_modified()) << "a revision that is yet to come";
}

TEST_F(ContextMethods, ATokenOfATenantsAccountIsItsApiKey) {
  pb::TenantContext context;
  const std::string key = token_of("acme-shop");
  ASSERT_EQ(find_by_key(key, context), StatusCode::OK);
  EXPECT_EQ(context.tenant(), "acme");
  EXPECT_EQ(context.clusters_size(), 1);
  std::string wrong = key;
  wrong.back() = wrong.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(find_by_key(wrong, context), StatusCode::NOT_FOUND);
  EXPECT_EQ(find_by_key("no such thing", context), StatusCode::NOT_FOUND);
  EXPECT_EQ(find_by_key(token_of("watcher"), context), StatusCode::NOT_FOUND)
      << "an account of nobody's";
}

TEST_F(ContextMethods, AWatchTellsTheContextAndThenEveryChangeOfIt) {
  grpc::ClientContext call;
  authorize_call(call, client_->token());
  const auto stub = pb::Tenants::NewStub(client_->channel());
  pb::WatchTenantContextRequest request;
  request.set_tenant("acme");
  const auto reader = stub->WatchContext(&call, request);
  HttpClient events(server_->rest_port());
  events.send(
      "GET /v1/tenants/acme/context/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
      client_->token() + "\r\n\r\n");
  pb::TenantContext context;
  ASSERT_TRUE(reader->Read(&context));
  EXPECT_EQ(context.plan(), "pro");
  EXPECT_NE(events.read_until(R"("plan":"pro")").find("data: {"), std::string::npos);
  set_plan("other", "enterprise");
  set_plan("acme", "free");
  ASSERT_TRUE(reader->Read(&context));
  EXPECT_EQ(context.plan(), "free") << "nothing was told of the other tenant";
  EXPECT_NE(events.read_until(R"("plan":"free")").find(fmt::format("id: {}\n", context.revision())),
            std::string::npos);
  call.TryCancel();
  reader->Finish();
}

TEST_F(ContextMethods, AWatchOfNobodyIsRefused) {
  grpc::ClientContext call;
  authorize_call(call, client_->token());
  const auto stub = pb::Tenants::NewStub(client_->channel());
  pb::WatchTenantContextRequest request;
  request.set_tenant("nobody");
  const auto reader = stub->WatchContext(&call, request);
  pb::TenantContext context;
  EXPECT_FALSE(reader->Read(&context));
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace frameworks
