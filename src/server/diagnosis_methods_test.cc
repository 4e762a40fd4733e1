// `why` and the inventory as callers get them, and what is explained instead of done: a service
// that fits nowhere, two on one port, a circle of dependencies.
#include <gtest/gtest.h>

#include "frameworks/v1/access_api.pb.h"
#include "frameworks/v1/diagnosis_api.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/json.h"
#include "model/words.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"

namespace frameworks {
namespace {

constexpr const char* kFleet = R"(
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
metadata: {name: edge}
spec: {tier: edge, region: eu-west, networks: {mesh: 10.64.1.0/24}}
---
apiVersion: frameworks/v1
kind: Node
metadata: {name: edge-1}
spec: {cluster: edge, address: 192.0.2.7, size: {memoryMb: 1024}}
---
apiVersion: frameworks/v1
kind: Service
metadata: {name: web}
spec: {role: nginx, ports: [{name: http, port: 80}]}
---
apiVersion: frameworks/v1
kind: Account
metadata: {name: acme-viewer}
spec: {role: viewer, tenant: acme}
)";

std::string service_yaml(const std::string& name, const std::string& spec) {
  return "apiVersion: frameworks/v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {" +
         spec + "}\n";
}

class DiagnosisTest : public ServerFixture {
 protected:
  DiagnosisTest() {
    start();
    client_->apply(FleetClient::yaml(kFleet));
    http_ = std::make_unique<HttpClient>(server_->rest_port());
  }

  // "wrong Service/web: runs nowhere: ..."
  std::string why(const std::string& kind, const std::string& name) {
    pb::WhyRequest request;
    request.set_kind(kind);
    request.set_name(name);
    pb::WhyResponse response;
    const auto status = client_->call("Diagnosis/Why", request, response);
    if (!status.ok()) return status.error_message();
    if (response.first() < 0) return "well";
    const pb::WhyStep& step = response.steps(response.first());
    return word(step.finding()) + " " + step.object() + ": " + step.message();
  }
  static std::string unplaced(const pb::Plan& plan) {
    for (const pb::PlanStep& step : plan.steps())
      if (step.action() == "unplaced") return step.object() + ": " + step.summary();
    return {};
  }
  HttpClient::Response get(const std::string& path, const std::string& more = "") {
    http_->send("GET " + path + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
                client_->token() + "\r\n" + more + "\r\n");
    return http_->read_response();
  }

  std::unique_ptr<HttpClient> http_;
};

TEST_F(DiagnosisTest, AServiceThatFitsNowhereIsExplainedAndHarmless) {
  const auto request = FleetClient::yaml(
      service_yaml("big", "role: big, resources: {memoryMb: 4096}, placement: {count: 2}"));
  const std::string reason =
      "0 of 2 placed: 1 node excluded by memory (closest: edge-1 has 1024 of the 4096 MiB)";
  EXPECT_EQ(unplaced(client_->plan(request)), "Service/big: " + reason);
  client_->apply(request);
  EXPECT_EQ(why("service", "big"),
            "wrong Service/big: runs nowhere: 1 node excluded by memory (closest: edge-1 has 1024 "
            "of the 4096 MiB)");
  EXPECT_EQ(client_->get<pb::Instance>("web.edge-1").spec().node(), "edge-1");
}

TEST_F(DiagnosisTest, TwoServicesOnOnePortOfEveryNodeAreRefused) {
  const auto request =
      FleetClient::yaml(service_yaml("rival", "role: nginx, ports: [{name: http, port: 80}]"));
  pb::ApplyResponse response;
  const auto status = client_->call("Fleet/Apply", request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(FleetClient::violations(status).find("tcp 80 is taken by Service/web"),
            std::string::npos)
      << FleetClient::violations(status);
  EXPECT_EQ(why("service", "rival"), "Service/rival: not found");
  EXPECT_EQ(client_->get<pb::Instance>("web.edge-1").spec().service(), "web");
}

TEST_F(DiagnosisTest, ASecondServiceThatFindsItsPortTakenIsExplainedAndTheFirstStays) {
  const auto request = FleetClient::yaml(
      service_yaml("rival", "role: nginx, ports: [{name: http, port: 80}], placement: {count: 1}"));
  EXPECT_EQ(unplaced(client_->plan(request)),
            "Service/rival: 0 of 1 placed: 1 node excluded by port (closest: edge-1 has web on tcp "
            "80)");
  client_->apply(request);
  EXPECT_EQ(
      why("service", "rival"),
      "wrong Service/rival: runs nowhere: 1 node excluded by port (closest: edge-1 has web on "
      "tcp 80)");
  EXPECT_EQ(client_->get<pb::Instance>("web.edge-1").spec().service(), "web");
}

TEST_F(DiagnosisTest, ACircleOfDependenciesIsRefusedAndNothingIsWritten) {
  const int64_t revision = client_->status().revision();
  auto request = FleetClient::yaml(service_yaml("a", "role: a, dependsOn: [b]") + "---\n" +
                                   service_yaml("b", "role: b, dependsOn: [c]") + "---\n" +
                                   service_yaml("c", "role: c, dependsOn: [a]"));
  for (const bool dry_run : {true, false}) {
    request.set_dry_run(dry_run);
    pb::ApplyResponse response;
    const auto status = client_->call("Fleet/Apply", request, response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(FleetClient::violations(status).find(
                  "\"a\" closes the circle a -> b -> c -> a: remove one dependency"),
              std::string::npos)
        << FleetClient::violations(status);
  }
  EXPECT_EQ(why("service", "a"), "Service/a: not found");
  EXPECT_GE(client_->status().revision(), revision);
  EXPECT_EQ(client_->get<pb::Service>("web").spec().role(), "nginx");
}

TEST_F(DiagnosisTest, WhyIsServedByRestToo) {
  const auto response = get("/v1/why/nodes/edge-1");
  ASSERT_EQ(response.status, 200) << response.body;
  const auto body = parse_json(response.body)->as_object();
  EXPECT_EQ(body.at("steps").at(0).at("object"), boost::json::value("Node/edge-1"));
  EXPECT_EQ(get("/v1/why/node/nothing").status, 404);
  EXPECT_EQ(get("/v1/why/secret/x").status, 400);
}

TEST_F(DiagnosisTest, ABoundCallerAsksAboutItsOwnOnly) {
  pb::CreateTokenRequest request;
  request.set_account("acme-viewer");
  pb::CreateTokenResponse made;
  ASSERT_TRUE(client_->call("Accounts/CreateToken", request, made).ok());
  for (const auto& [path, status] :
       std::vector<std::pair<std::string, int>>{{"/v1/why/tenant/acme", 200},
                                                {"/v1/why/tenant/globex", 404},
                                                {"/v1/why/node/edge-1", 404},
                                                {"/v1/why/cluster/edge", 404},
                                                {"/v1/inventory/csv", 403}})
    EXPECT_EQ(http_->request("GET", path, made.token()).status, status) << path;
}

TEST_F(DiagnosisTest, ADocumentIsTheWholeBodyAndItsRevisionTheTag) {
  const auto csv = get("/v1/inventory/csv?filter.tiers=edge&filter.clusters=edge");
  ASSERT_EQ(csv.status, 200) << csv.body;
  EXPECT_NE(csv.head.find("\r\nContent-Type: text/csv; charset=utf-8; header=present\r\n"),
            std::string::npos)
      << csv.head;
  EXPECT_TRUE(csv.body.starts_with("name,cluster,")) << csv.body;
  EXPECT_NE(csv.body.find("\r\nedge-1,edge,edge,eu-west,192.0.2.7,"), std::string::npos);
  const size_t tag = csv.head.find("ETag: ");
  ASSERT_NE(tag, std::string::npos) << csv.head;
  const std::string etag = csv.head.substr(tag + 6, csv.head.find("\r\n", tag) - tag - 6);
  const auto again = get("/v1/inventory/csv", "If-None-Match: " + etag + "\r\n");
  // Unless something was written meanwhile.
  EXPECT_TRUE(again.status == 304 || again.head.find("ETag: " + etag) == std::string::npos)
      << again.head;
  EXPECT_EQ(get("/v1/inventory/csv", "Accept: application/json\r\n").status, 406);
  EXPECT_EQ(get("/v1/inventory/prometheus", "Accept: application/json\r\n").status, 200);
  EXPECT_EQ(get("/v1/inventory/xml").status, 400);
  EXPECT_EQ(get("/v1/inventory/csv?filter.tiers=deep").status, 400);
  EXPECT_EQ(get("/v1/inventory/csv?filter.nothing=x").status, 400);
  EXPECT_EQ(get("/v1/inventory/csv?filter=x").status, 400);
  EXPECT_EQ(get("/v1/inventory/csv?filter.clusters=nowhere").status, 400);
}

}  // namespace
}  // namespace frameworks
