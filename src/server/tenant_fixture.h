// A server with a DNS of the test's own, and the calls that tests of tenants make.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/tenants/fake_txt_resolver.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"

namespace frameworks {

class TenantFixture : public ServerFixture {
 protected:
  TenantFixture() {
    options_.txt = &txt_;
    start();
  }
  ~TenantFixture() override { stop(); }  // before its DNS

  // By the administrator, or with `token_` when it is set.
  template <typename Request, typename Response>
  grpc::StatusCode call(const std::string& method, const Request& request, Response& response) {
    response.Clear();
    const auto status = unary_call(*client_->channel(), "frameworks.v1." + method,
                                   token_.empty() ? client_->token() : token_, request, response);
    text_ = status.error_message() + FleetClient::violations(status);
    return status.error_code();
  }
  template <typename Request>
  grpc::StatusCode call(const std::string& method, const Request& request) {
    return call("Tenants/" + method, request, response_);
  }

  grpc::StatusCode create(const std::string& name, const std::string& request_id = {},
                          bool dry_run = false) {
    pb::CreateTenantRequest request;
    request.mutable_tenant()->mutable_metadata()->set_name(name);
    request.set_request_id(request_id);
    request.set_dry_run(dry_run);
    return call("Create", request);
  }
  void apply(const std::string& text) { client_->apply(FleetClient::yaml(text)); }

  // A token of an account.
  std::string token_of(const std::string& account) {
    pb::CreateTokenRequest request;
    request.set_account(account);
    pb::CreateTokenResponse response;
    EXPECT_EQ(call("Accounts/CreateToken", request, response), grpc::StatusCode::OK) << text_;
    return response.token();
  }

  // Empty: there is none.
  template <typename T>
  T find(const std::string& name, const std::string& tenant = {}) {
    pb::GetRequest request;
    request.set_kind(T::descriptor()->name());
    request.set_name(name);
    request.set_tenant(tenant);
    pb::GetResponse response;
    T out;
    if (client_->call("Fleet/Get", request, response).ok()) response.resource().UnpackTo(&out);
    return out;
  }
  template <typename T>
  bool exists(const std::string& name, const std::string& tenant = {}) {
    return !find<T>(name, tenant).metadata().name().empty();
  }

  FakeTxtResolver txt_;
  std::string token_;
  pb::TenantResponse response_;
  std::string text_;
};

}  // namespace frameworks
