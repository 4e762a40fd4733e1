// A server with a DNS of the test's own, and the calls that tests of tenants make.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/tenants/fake_txt_resolver.h"
#include "server/fleet_client.h"
#include "server/quartermaster.h"

namespace frameworks {

class TenantFixture : public ::testing::Test {
 protected:
  TenantFixture() : directory_(std::move(*TemporaryDirectory::make())) { start(); }

  // The server anew, on what an earlier one left.
  void start() {
    client_.reset();
    server_.reset();
    QuartermasterOptions options;
    options.state = directory_.path() / "state";
    options.listen_grpc = options.listen_rest = "127.0.0.1:0";
    options.simulated = true;
    options.txt = &txt_;
    auto server = Quartermaster::start(options);
    CHECK(server);
    server_ = std::move(*server);
    client_ = std::make_unique<FleetClient>(options.state, server_->grpc_port());
  }

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

  TemporaryDirectory directory_;
  FakeTxtResolver txt_;
  std::unique_ptr<Quartermaster> server_;
  std::unique_ptr<FleetClient> client_;
  std::string token_;
  pb::TenantResponse response_;
  std::string text_;
};

}  // namespace frameworks
