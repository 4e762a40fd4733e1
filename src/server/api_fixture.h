// Both transports in this process, on free ports, over a table of the test's own handlers.
#pragma once

#include <gtest/gtest.h>

#include "base/file.h"
#include "machine/certificates/authority.h"
#include "server/grpc_server.h"
#include "server/rest_server.h"
#include "server/test_client.h"

namespace frameworks {

inline constexpr const char* kViewerToken = "viewer-token-0123456789-0123456789";
inline constexpr const char* kOperatorToken = "operator-token-0123456789-012345";
inline constexpr const char* kAdminToken = "admin-token-0123456789-0123456789";

class ApiFixture : public ::testing::Test {
 protected:
  ApiFixture()
      : directory_(std::move(*TemporaryDirectory::make())),
        authority_(std::move(*Authority::load_or_create(directory_.path(), system_clock()))),
        authentication_(std::move(*Authentication::load_or_create(directory_.path()))) {
    authentication_.add_token(kViewerToken, {pb::ACCESS_VIEWER, "account/viewer"});
    authentication_.add_token(kOperatorToken, {pb::ACCESS_OPERATOR, "account/operator"});
    authentication_.add_token(kAdminToken, {pb::ACCESS_ADMIN, "account/chief"});
  }

  ~ApiFixture() override {
    workers_.stop();
    streams_.stop();
  }

  // After the handlers were added.
  void serve(RestLimits rest = {}, GrpcLimits grpc = {}) {
    const auto server = *authority_.issue_server({"localhost"}, {"127.0.0.1"});
    const ApiServing serving{api_, authentication_, workers_, streams_, metrics_};
    auto started = GrpcServer::start(
        "127.0.0.1:0", {server.key_pem, server.certificate_pem, authority_.certificate_pem()},
        serving, nullptr, grpc);
    ASSERT_TRUE(started) << started.error().text();
    grpc_ = std::move(*started);
    auto rest_started = RestServer::start("127.0.0.1:0", serving, rest);
    ASSERT_TRUE(rest_started) << rest_started.error().text();
    rest_ = std::move(*rest_started);
    channel_ = test_channel(grpc_->port(), authority_.certificate_pem());
  }

  std::shared_ptr<grpc::Channel> node_channel(const std::string& node) {
    const auto request = make_certificate_request();
    const auto issued = authority_.sign_node(request->request_pem, node);
    return test_channel(grpc_->port(), authority_.certificate_pem(), request->key_pem, issued->pem);
  }

  // Asks Fleet/Get for a node, as a viewer.
  grpc::Status get_node(const std::string& name) {
    pb::GetRequest request;
    request.set_kind("node");
    request.set_name(name);
    pb::GetResponse response;
    return unary_call(*channel_, "frameworks.v1.Fleet/Get", kViewerToken, request, response);
  }

  TemporaryDirectory directory_;
  Authority authority_;
  Authentication authentication_;
  Api api_;
  Metrics metrics_;
  Workers workers_{2, 64};
  Workers streams_{1, 4096};
  std::unique_ptr<GrpcServer> grpc_;
  std::unique_ptr<RestServer> rest_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace frameworks
