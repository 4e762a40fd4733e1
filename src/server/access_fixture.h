// A server with two tenants, what they own and share, and accounts of every sort.
#pragma once

#include <google/protobuf/empty.pb.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"
#include "server/test_accounts.h"

namespace frameworks {

inline constexpr int64_t kWrongTokens = 400;

inline const std::string kAccessFleet = R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: acme}
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
spec: {tier: edge, region: eu-west, owner: acme, sharing: customer-managed, networks: {mesh: 10.64.2.0/24}}
---
apiVersion: frameworks/v1
kind: Cluster
metadata: {name: globex-own}
spec: {tier: edge, region: eu-west, owner: globex, sharing: customer-managed, networks: {mesh: 10.64.3.0/24}}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: shared, tenant: acme}
spec: {cluster: shared}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: secret-deal, tenant: globex}
spec: {cluster: shared}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: globex-own-1}
spec: {cluster: globex-own, address: 192.0.2.7}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: acme-own-1}
spec: {cluster: acme-own, address: 192.0.2.8}
---
apiVersion: frameworks/v1
kind: Secret
metadata: {name: password}
spec: {data: {value: hunter2}}
)";

class AccessTest : public ServerFixture {
 protected:
  AccessTest() {
    options_.wrong_tokens = kWrongTokens;
    start();
    client_->apply(
        FleetClient::yaml(kAccessFleet + account_documents({{"viewer", "viewer"},
                                                            {"operator", "operator"},
                                                            {"chief", "admin"},
                                                            {"left", "admin"},
                                                            {"acme-viewer", "viewer", "acme"},
                                                            {"acme-operator", "operator", "acme"},
                                                            {"globex-admin", "admin", "globex"}})));
  }

  template <typename Request, typename Response>
  grpc::Status call(const std::string& token, const std::string& method, const Request& request,
                    Response& response) {
    return unary_call(*client_->channel(), "frameworks.v1." + method, token, request, response);
  }
  grpc::Status probe(const std::string& token, const std::string& method) {
    if (method == "Fleet/Watch") {  // would go on without an end
      pb::WatchRequest request;
      request.add_kinds("no such kind");
      google::protobuf::Empty response;
      return call(token, method, request, response);
    }
    google::protobuf::Empty response;
    pb::WatchTenantContextRequest of_nobody;  // that of one's own would go on without an end
    of_nobody.set_tenant("nobody");
    if (method == "Tenants/WatchContext") return call(token, method, of_nobody, response);
    pb::RevokeTokenRequest unchanged;  // an empty request would revoke the token that is tried
    unchanged.set_dry_run(true);
    if (method == "Accounts/RevokeToken") return call(token, method, unchanged, response);
    return call(token, method, google::protobuf::Empty(), response);
  }
  pb::CreateTokenResponse make_token(const std::string& account) {
    pb::CreateTokenRequest request;
    request.set_account(account);
    pb::CreateTokenResponse response;
    const auto status = call(client_->token(), "Accounts/CreateToken", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::string token(const std::string& account) { return make_token(account).token(); }
  std::string make_expired_token(const std::string& account) {
    pb::CreateTokenRequest request;
    request.set_account(account);
    request.mutable_ttl()->set_seconds(1);
    pb::CreateTokenResponse made;
    EXPECT_TRUE(call(client_->token(), "Accounts/CreateToken", request, made).ok());
    pb::WhoAmIResponse who;
    EXPECT_TRUE(eventually(
        [&] { return !call(made.token(), "Accounts/WhoAmI", pb::WhoAmIRequest(), who).ok(); }));
    return made.token();
  }
  grpc::Status get(const std::string& token, const std::string& kind, const std::string& name,
                   const std::string& tenant = "") {
    pb::GetRequest request;
    request.set_kind(kind);
    request.set_name(name);
    request.set_tenant(tenant);
    pb::GetResponse response;
    return call(token, "Fleet/Get", request, response);
  }
  std::vector<std::string> names(const std::string& token, const std::string& kind) {
    pb::ListRequest request;
    request.set_kind(kind);
    pb::ListResponse response;
    const auto status = call(token, "Fleet/List", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::string> out;
    for (const auto& any : response.resources()) out.push_back(unpack(any)->name());
    return out;
  }
};

}  // namespace frameworks
