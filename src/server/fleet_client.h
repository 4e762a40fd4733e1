// An operator for tests of the whole server: the API's stubs with the administrator's token.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/fleet_api.grpc.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/tenants_api.pb.h"
#include "model/documents.h"
#include "model/pack.h"
#include "server/test_client.h"

namespace frameworks {

inline const std::vector<std::string>& demo_nodes() {
  static const std::vector<std::string> nodes{"core-1", "eu-edge-1", "eu-regional-1", "us-edge-1",
                                              "us-regional-1"};
  return nodes;
}

class FleetClient {
 public:
  FleetClient(const std::filesystem::path& state, int port)
      : token_(trim(*read_file(state / "admin.token"))),
        channel_(test_channel(port, *read_file(state / "ca.pem"))) {}

  template <typename Request, typename Response>
  grpc::Status call(const std::string& method, const Request& request, Response& response) {
    return unary_call(*channel_, "frameworks.v1." + method, token_, request, response);
  }

  static pb::ApplyRequest request_of(const std::vector<Document>& documents) {
    pb::ApplyRequest request;
    for (const Document& document : documents) {
      auto& item = *request.add_items();
      *item.mutable_resource() = pack(document.resource);
      item.mutable_origin()->set_file(document.file);
      item.mutable_origin()->set_line(document.line);
    }
    return request;
  }
  static pb::ApplyRequest demo() {
    const auto documents = load_fleet({std::string(FW_SOURCE_DIR) + "/fleets/demo"});
    EXPECT_TRUE(documents) << documents.error().text();
    return request_of(*documents);
  }
  static pb::ApplyRequest yaml(const std::string& text) {
    const auto documents = parse_documents(text, "test.yaml");
    EXPECT_TRUE(documents) << documents.error().text();
    return request_of(*documents);
  }

  pb::ApplyResponse apply(const pb::ApplyRequest& request) {
    pb::ApplyResponse response;
    const auto status = call("Fleet/Apply", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message() << violations(status);
    return response;
  }
  pb::Plan plan(pb::ApplyRequest request) {
    request.set_dry_run(true);
    return apply(request).plan();
  }

  static std::string violations(const grpc::Status& status) {
    pb::Violations all;
    all.ParseFromString(status.error_details());
    std::string out;
    for (const auto& violation : all.violations())
      out += "\n" + violation.origin().file() + ":" + std::to_string(violation.origin().line()) +
             ": " + violation.object() + ": " + violation.field() + ": " + violation.message();
    return out;
  }

  // Until the operation has ended; its events, if wanted.
  pb::OperationStatus wait(const std::string& operation,
                           std::vector<pb::OperationEvent>* events = nullptr) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + token_);
    context.set_deadline(
        std::chrono::system_clock::time_point(system_clock().wall() + std::chrono::seconds(120)));
    pb::WatchOperationRequest request;
    request.set_operation(operation);
    const auto stub = pb::Operations::NewStub(channel_);
    const auto reader = stub->Watch(&context, request);
    pb::OperationStatus final;
    pb::WatchOperationResponse response;
    while (reader->Read(&response)) {
      if (response.has_event() && events != nullptr) events->push_back(response.event());
      if (response.has_final()) final = response.final();
    }
    const auto status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return final;
  }

  template <typename T>
  T get(const std::string& name) {
    pb::GetRequest request;
    request.set_kind(T::descriptor()->name());
    request.set_name(name);
    pb::GetResponse response;
    const auto status = call("Fleet/Get", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    T out;
    response.resource().UnpackTo(&out);
    return out;
  }

  pb::StatusResponse status(int64_t revision = 0) {
    pb::StatusRequest request;
    request.set_revision(revision);
    pb::StatusResponse response;
    const auto status = call("Fleet/Status", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  pb::TenantContext context(const std::string& tenant) {
    pb::GetTenantContextRequest request;
    request.set_tenant(tenant);
    pb::TenantContext response;
    const auto status = call("Tenants/GetContext", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  const std::string& token() const { return token_; }

 private:
  std::string token_;
  std::shared_ptr<grpc::Channel> channel_;
};

// Looks again and again until it holds, or 20 s are over.
template <typename Done>
bool eventually(Done done) {
  const auto deadline = system_clock().mono() + std::chrono::seconds(20);
  while (!done()) {
    if (system_clock().mono() > deadline) return false;
    system_clock().sleep_for(std::chrono::milliseconds(5), {});
  }
  return true;
}

}  // namespace frameworks
