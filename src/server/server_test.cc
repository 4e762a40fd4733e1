#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/operation.pb.h"
#include "server/fake_agent.h"
#include "server/fleet_client.h"
#include "server/quartermaster.h"

namespace frameworks {
namespace {

constexpr const char* kRule = R"(
apiVersion: frameworks/v1
kind: FirewallRule
metadata: {name: metrics}
spec: {ports: [9999], target: {tiers: [edge]}}
)";

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : directory_(std::move(*TemporaryDirectory::make())) { start(); }

  void start() {
    QuartermasterOptions options;
    options.state = directory_.path() / "state";
    options.listen_grpc = options.listen_rest = "127.0.0.1:0";
    options.simulated = true;
    options.heartbeat = std::chrono::milliseconds(250);
    auto server = Quartermaster::start(options);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    client_ = std::make_unique<FleetClient>(options.state, server_->grpc_port());
  }

  void run_demo_agents() {
    for (const std::string& node : demo_nodes())
      agents_.push_back(
          std::make_unique<FakeAgent>(directory_.path() / "state", server_->grpc_port(), node));
  }
  // The demo fleet, converged.
  void bring_up() {
    run_demo_agents();
    const auto applied = client_->apply(FleetClient::demo());
    const auto final = client_->wait(applied.operation());
    ASSERT_EQ(final.state(), pb::OPERATION_STATE_SUCCEEDED) << final.error();
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Quartermaster> server_;
  std::unique_ptr<FleetClient> client_;
  std::vector<std::unique_ptr<FakeAgent>> agents_;  // gone before the server
};

const pb::PlaneStatus& plane(const pb::StatusResponse& status, const std::string& name) {
  for (const auto& plane : status.planes())
    if (plane.plane() == name) return plane;
  ADD_FAILURE() << "no plane " << name;
  return pb::PlaneStatus::default_instance();
}

TEST_F(ServerTest, AppliesTheDemoFleetToTheEndAndThenHasNothingToDo) {
  const auto plan = client_->plan(FleetClient::demo());
  std::vector<std::string> layers;
  for (const auto& step : plan.steps())
    if (layers.empty() || layers.back() != step.layer()) layers.push_back(step.layer());
  EXPECT_EQ(layers, (std::vector<std::string>{"model", "machine", "config", "runtime"}));
  EXPECT_EQ(plan.blast_radius().nodes_size(), 5);
  EXPECT_EQ(client_->status().revision(), 0) << "a plan changes nothing";

  run_demo_agents();
  const auto applied = client_->apply(FleetClient::demo());
  std::vector<pb::OperationEvent> events;
  const auto final = client_->wait(applied.operation(), &events);
  ASSERT_EQ(final.state(), pb::OPERATION_STATE_SUCCEEDED) << final.error();
  EXPECT_EQ(final.attempts(), 1);
  ASSERT_EQ(final.steps_size(), 3);
  EXPECT_GT(events.size(), 10u);

  const auto again = client_->plan(FleetClient::demo());
  for (const auto& step : again.steps()) ADD_FAILURE() << "left to do: " << step.summary();
  EXPECT_EQ(client_->apply(FleetClient::demo()).operation(), "");
  const auto status = client_->status();
  EXPECT_EQ(status.server(), client_->get<pb::Node>("core-1").status().agent().server());
  EXPECT_EQ(status.nodes().at("healthy"), 5);
  EXPECT_EQ(status.instances().size(), 1u);
  for (const auto& one : status.planes()) EXPECT_EQ(one.converged(), one.total()) << one.plane();
}

TEST_F(ServerTest, AFirewallRuleIsOnItsNodesAndTheStatusTellsHowFast) {
  bring_up();
  const auto applied = client_->apply(FleetClient::yaml(kRule));
  ASSERT_TRUE(eventually(
      [&] { return plane(client_->status(applied.revision()), "firewall").elapsed_ms() >= 0; }));
  for (size_t i = 0; i < demo_nodes().size(); ++i)
    EXPECT_EQ(agents_[i]->ruleset().find("9999") != std::string::npos,
              demo_nodes()[i].find("edge") != std::string::npos)
        << demo_nodes()[i];
  RecordProperty(
      "elapsed_ms",
      std::to_string(plane(client_->status(applied.revision()), "firewall").elapsed_ms()));
  EXPECT_EQ(client_->wait(applied.operation()).state(), pb::OPERATION_STATE_SUCCEEDED);
}

TEST_F(ServerTest, ANodeWithoutPowerIsDownAndOutOfTheContextAndComesBack) {
  bring_up();
  const auto names_us = [&] {
    const pb::TenantContext context = client_->context("acme");
    for (const auto& endpoint : context.endpoints())
      if (endpoint.node() == "us-edge-1") return true;
    return false;
  };
  ASSERT_TRUE(eventually(names_us));
  const auto power = [&](bool on) {
    pb::SetPowerRequest request;
    request.set_node("us-edge-1");
    request.set_on(on);
    pb::SetPowerResponse response;
    const auto status = client_->call("Machines/SetPower", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  };
  power(false);
  EXPECT_TRUE(eventually([&] {
    return client_->get<pb::Node>("us-edge-1").status().health().state() == pb::HEALTH_DOWN;
  }));
  EXPECT_FALSE(names_us());
  EXPECT_EQ(client_->apply(FleetClient::demo()).operation(), "")
      << "it was switched off on purpose";
  power(true);
  EXPECT_TRUE(eventually(names_us));
}

TEST_F(ServerTest, RefusesABadFleetWholeWithFileAndLineOfEveryViolation) {
  const auto request = FleetClient::yaml(R"(
apiVersion: frameworks/v1
kind: Tenant
metadata: {name: fine}
---
apiVersion: frameworks/v1
kind: Grant
metadata: {name: g, tenant: nobody}
spec: {cluster: nowhere}
)");
  pb::ApplyResponse response;
  const auto status = client_->call("Fleet/Apply", request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const std::string violations = FleetClient::violations(status);
  EXPECT_NE(violations.find("test.yaml:6: Grant/nobody/g: spec.cluster:"), std::string::npos)
      << violations;
  EXPECT_EQ(client_->status().revision(), 0);
}

TEST_F(ServerTest, RefusesWhatOnlyTheSystemWrites) {
  pb::Instance instance;
  instance.mutable_metadata()->set_name("a.b");
  pb::ApplyRequest request;
  *request.add_items()->mutable_resource() = pack(Resource::of(instance));
  pb::ApplyResponse response;
  EXPECT_EQ(client_->call("Fleet/Apply", request, response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, DeletesNothingThatIsStillUsed) {
  bring_up();
  const auto remove = [&](const std::string& kind, const std::string& name) {
    pb::DeleteRequest request;
    request.set_kind(kind);
    request.set_name(name);
    pb::ApplyResponse response;
    return client_->call("Fleet/Delete", request, response).error_code();
  };
  EXPECT_EQ(remove("cluster", "us-edge"), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(remove("node", "us-edge-1"), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(remove("tenant", "nobody"), grpc::StatusCode::NOT_FOUND);
  client_->apply(FleetClient::yaml(kRule));
  EXPECT_EQ(remove("firewallrule", "metrics"), grpc::StatusCode::OK);
}

TEST_F(ServerTest, PrunesWhatAnApplyMadeAndNoOtherListsAnyMore) {
  const std::string tenant =
      "\n---\napiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: t}\n";
  client_->apply(FleetClient::yaml(kRule + tenant));
  auto request = FleetClient::yaml(kRule);
  const auto kept = client_->plan(request);
  EXPECT_EQ(kept.steps_size(), 0);
  request.set_prune(true);
  const auto plan = client_->plan(request);
  ASSERT_GE(plan.steps_size(), 1);
  EXPECT_EQ(plan.steps(0).action(), "delete");
  EXPECT_EQ(plan.steps(0).object(), "Tenant/t");
  client_->apply(request);
  pb::GetRequest get;
  get.set_kind("tenant");
  get.set_name("t");
  pb::GetResponse response;
  EXPECT_EQ(client_->call("Fleet/Get", get, response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerTest, NeverShowsSecrets) {
  client_->apply(FleetClient::yaml(R"(
apiVersion: frameworks/v1
kind: Secret
metadata: {name: s}
spec: {data: {password: hunter2}}
)"));
  EXPECT_EQ(client_->get<pb::Secret>("s").spec().data().at("password"), "(secret)");
  pb::ListRequest list;
  list.set_kind("secrets");
  pb::ListResponse response;
  ASSERT_TRUE(client_->call("Fleet/List", list, response).ok());
  EXPECT_EQ(response.SerializeAsString().find("hunter2"), std::string::npos);
}

TEST_F(ServerTest, ListsPageByPageInOrder) {
  std::string all;
  for (int i = 0; i < 25; ++i)
    all += "---\napiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: t" +
           std::to_string(10 + i) + "}\n";
  client_->apply(FleetClient::yaml(all));
  std::vector<std::string> names;
  pb::ListRequest request;
  request.set_kind("tenants");
  request.set_page_size(10);
  int pages = 0;
  do {
    pb::ListResponse response;
    ASSERT_TRUE(client_->call("Fleet/List", request, response).ok());
    for (const auto& any : response.resources()) names.push_back(unpack(any)->name());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(names.size(), 25u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST_F(ServerTest, WatchTellsWhatIsThereThenEveryChangeInOrder) {
  client_->apply(
      FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: a}\n"));
  grpc::ClientContext context;
  authorize_call(context, client_->token());
  pb::WatchRequest request;
  request.add_kinds("tenant");
  const auto stub = pb::Fleet::NewStub(client_->channel());
  const auto reader = stub->Watch(&context, request);
  pb::WatchEvent event;
  ASSERT_TRUE(reader->Read(&event)) << reader->Finish().error_message();
  EXPECT_EQ(unpack(event.resource())->name(), "a");
  ASSERT_TRUE(reader->Read(&event)) << reader->Finish().error_message();
  EXPECT_EQ(event.type(), pb::WATCH_EVENT_TYPE_SYNCED);
  for (const char* name : {"b", "c"}) {
    client_->apply(FleetClient::yaml(
        std::string("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: ") + name + "}\n"));
    ASSERT_TRUE(reader->Read(&event)) << reader->Finish().error_message();
    EXPECT_EQ(event.type(), pb::WATCH_EVENT_TYPE_PUT);
    EXPECT_EQ(unpack(event.resource())->name(), name);
  }
  pb::DeleteRequest remove;
  remove.set_kind("tenant");
  remove.set_name("b");
  pb::ApplyResponse removed;
  ASSERT_TRUE(client_->call("Fleet/Delete", remove, removed).ok());
  ASSERT_TRUE(reader->Read(&event)) << reader->Finish().error_message();
  EXPECT_EQ(event.type(), pb::WATCH_EVENT_TYPE_DELETE);
  EXPECT_EQ(event.revision(), removed.revision());
  context.TryCancel();
}

TEST_F(ServerTest, RestAndGrpcAnswerAlike) {
  bring_up();
  const auto grpc = client_->context("acme");
  const auto rest =
      HttpClient(server_->rest_port()).request("GET", "/v1/tenants/acme/context", client_->token());
  ASSERT_EQ(rest.status, 200) << rest.body;
  const auto document = boost::json::parse(rest.body).as_object();
  EXPECT_EQ(document.at("tenant"), "acme");
  EXPECT_EQ(document.at("endpoints").as_array().size(), static_cast<size_t>(grpc.endpoints_size()));
  EXPECT_EQ(document.at("clusters").as_array().size(), 2u);
}

// The first apply still waits for its own node when the second brings another.
TEST_F(ServerTest, AnApplyDoesNotWaitForNodesThatALaterOneBrings) {
  const auto node = [](int number) {
    return fmt::format(
        "---\napiVersion: frameworks/v1\nkind: Node\nmetadata: {{name: edge-{0}}}\n"
        "spec: {{cluster: edge, address: 192.0.2.{0}}}\n",
        number);
  };
  const auto first = client_->apply(FleetClient::yaml(
      "apiVersion: frameworks/v1\nkind: Cluster\nmetadata: {name: edge}\nspec: {tier: edge, "
      "region: eu-west, networks: {mesh: 10.64.1.0/24}}\n" +
      node(1)));
  const auto state = directory_.path() / "state";
  ASSERT_TRUE(
      eventually([&] { return std::filesystem::exists(state / "simulated" / "edge-1.token"); }));
  const auto second = client_->apply(FleetClient::yaml(node(2)));
  EXPECT_NE(first.operation(), second.operation());
  for (const char* name : {"edge-1", "edge-2"})
    agents_.push_back(std::make_unique<FakeAgent>(state, server_->grpc_port(), name));
  for (const auto& applied : {first, second})
    EXPECT_EQ(client_->wait(applied.operation()).state(), pb::OPERATION_STATE_SUCCEEDED);
}

TEST_F(ServerTest, ASecondServerKeepsOffTheStateFolder) {
  QuartermasterOptions options;
  options.state = directory_.path() / "state";
  options.listen_grpc = options.listen_rest = "127.0.0.1:0";
  options.simulated = true;
  const auto second = Quartermaster::start(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kFailedPrecondition);
}

TEST_F(ServerTest, AFleetOutlivesItsServer) {
  bring_up();
  const auto before = client_->status();
  agents_.clear();
  client_.reset();
  server_.reset();
  start();
  EXPECT_EQ(client_->get<pb::Node>("core-1").status().configuration().version().size() > 0, true);
  EXPECT_GE(client_->status().revision(), before.revision());
  EXPECT_EQ(client_->apply(FleetClient::demo()).operation(), "");
}

}  // namespace
}  // namespace frameworks
