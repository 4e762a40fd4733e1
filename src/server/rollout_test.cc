// Rollouts and drains through the whole server, with simulated nodes.
#include <gtest/gtest.h>

#include "frameworks/v1/operation.pb.h"
#include "frameworks/v1/orchestration_api.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/words.h"
#include "server/fake_agent.h"
#include "server/fleet_client.h"
#include "server/server_fixture.h"

namespace frameworks {
namespace {

using Lines = std::vector<std::string>;

class RolloutTest : public ServerFixture {
 protected:
  RolloutTest() {
    options_.heartbeat = std::chrono::milliseconds(250);
    start();
    for (const std::string& node : demo_nodes())
      agents_.push_back(std::make_unique<FakeAgent>(options_.state, server_->grpc_port(), node));
    const auto applied = client_->apply(FleetClient::demo());
    const auto final = client_->wait(applied.operation());
    EXPECT_EQ(final.state(), pb::OPERATION_STATE_SUCCEEDED) << final.error();
  }

  FakeAgent& agent(const std::string& node) {
    const auto& all = demo_nodes();
    return *agents_[static_cast<size_t>(std::find(all.begin(), all.end(), node) - all.begin())];
  }

  static pb::StartRolloutRequest to(const std::string& version, bool dry_run = false) {
    pb::StartRolloutRequest request;
    request.set_service("media");
    request.set_version(version);
    request.set_dry_run(dry_run);
    request.mutable_strategy()->mutable_gate()->set_nanos(100'000'000);
    return request;
  }
  pb::RolloutResponse start_rollout(const pb::StartRolloutRequest& request) {
    pb::RolloutResponse response;
    const auto status = client_->call("Orchestration/StartRollout", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::string refused(const pb::StartRolloutRequest& request) {
    pb::RolloutResponse response;
    return client_->call("Orchestration/StartRollout", request, response).error_message();
  }
  grpc::Status control(const std::string& rollout, pb::RolloutAction action) {
    pb::ControlRolloutRequest request;
    request.set_rollout(rollout);
    request.set_action(action);
    pb::RolloutResponse response;
    return client_->call("Orchestration/ControlRollout", request, response);
  }
  bool ends(const std::string& name, pb::RolloutState state) {
    return eventually([&] { return client_->get<pb::Rollout>(name).status().state() == state; });
  }
  std::string version(const std::string& instance) {
    return client_->get<pb::Instance>(instance).spec().version();
  }
  // What a node's configuration fails with; empty: it works again.
  void fail(const std::string& node, const std::string& error) {
    const auto file = options_.state / "simulated" / (node + ".error");
    if (error.empty())
      std::filesystem::remove(file);
    else
      ASSERT_TRUE(write_file(file, error));
  }
  pb::ApplyResponse drain(const std::string& node, std::chrono::seconds deadline = {},
                          bool dry_run = false) {
    pb::DrainNodeRequest request;
    request.set_node(node);
    request.set_dry_run(dry_run);
    if (deadline.count() > 0) request.mutable_deadline()->set_seconds(deadline.count());
    pb::ApplyResponse response;
    const auto status = client_->call("Orchestration/Drain", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  pb::DrainStatus drain_of(const std::string& node) {
    return client_->get<pb::Node>(node).status().drain();
  }
  bool is_served_by(const std::string& node) {
    const pb::TenantContext context = client_->context("acme");
    return std::any_of(context.endpoints().begin(), context.endpoints().end(),
                       [&](const auto& endpoint) { return endpoint.node() == node; });
  }

  std::vector<std::unique_ptr<FakeAgent>> agents_;  // gone before the server
};

TEST_F(RolloutTest, ANewVersionGoesOutBatchByBatchOnExactlyTheBatchsNodes) {
  const auto planned = start_rollout(to("1.2", true));
  ASSERT_EQ(planned.plan().steps_size(), 2);
  EXPECT_EQ(planned.plan().blast_radius().nodes_size(), 2);
  EXPECT_GT(planned.plan().blast_radius().tenants_size(), 0);
  EXPECT_EQ(version("media.eu-edge-1"), "");
  const auto begun = start_rollout(to("1.2"));
  EXPECT_EQ(begun.rollout().metadata().name(), "media-1");
  ASSERT_TRUE(ends("media-1", pb::ROLLOUT_STATE_SUCCEEDED));
  const auto rollout = client_->get<pb::Rollout>("media-1");
  ASSERT_EQ(rollout.status().batches_size(), 2);
  Lines configured;
  for (const pb::RolloutBatch& batch : rollout.status().batches()) {
    const auto operation = client_->get<pb::Operation>(batch.operation());
    EXPECT_EQ(operation.spec().type(), "configure");
    for (const std::string& node : operation.spec().nodes()) configured.push_back(node);
  }
  EXPECT_EQ(configured, (Lines{"eu-edge-1", "us-edge-1"}));
  EXPECT_EQ(client_->get<pb::Service>("media").spec().version(), "1.2");
  EXPECT_EQ(version("media.us-edge-1"), "1.2");
  // Nobody has anything left to do.
  auto fleet = client_->get<pb::Service>("media");
  const auto again =
      client_->plan(FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\n"
                                      "metadata: {name: other}\n"));
  for (const auto& step : again.steps()) EXPECT_NE(step.layer(), "config") << step.summary();
  EXPECT_NE(refused(to("1.2")).find("every instance has version 1.2 already"), std::string::npos);
}

TEST_F(RolloutTest, AVersionThatDoesNotExistIsTakenBackByItselfAndTheOtherEdgeIsLeftAlone) {
  fail("eu-edge-1", "no such version");
  start_rollout(to("9.9"));
  ASSERT_TRUE(eventually([&] {
    return client_->get<pb::Rollout>("media-1").status().state() ==
               pb::ROLLOUT_STATE_ROLLING_BACK ||
           client_->get<pb::Rollout>("media-1").status().state() == pb::ROLLOUT_STATE_FAILED;
  }));
  fail("eu-edge-1", "");
  const auto has_ended = [&] {
    const auto state = client_->get<pb::Rollout>("media-1").status().state();
    return state == pb::ROLLOUT_STATE_ROLLED_BACK || state == pb::ROLLOUT_STATE_FAILED;
  };
  ASSERT_TRUE(eventually(has_ended));
  const auto status = client_->get<pb::Rollout>("media-1").status();
  EXPECT_NE(status.message().find("no such version"), std::string::npos) << status.message();
  EXPECT_EQ(status.batches(1).state(), pb::BATCH_STATE_PENDING);
  EXPECT_EQ(version("media.eu-edge-1"), "");
  EXPECT_EQ(version("media.us-edge-1"), "");
}

TEST_F(RolloutTest, PausedAndThenAbortedAndAllOfItOverARestart) {
  auto slow = to("1.2");
  slow.mutable_strategy()->mutable_gate()->set_seconds(3600);
  start_rollout(slow);
  ASSERT_TRUE(eventually([&] {
    const auto status = client_->get<pb::Rollout>("media-1").status();
    return status.batches_size() > 0 && status.batches(0).state() == pb::BATCH_STATE_GATE;
  }));
  EXPECT_NE(refused(to("1.3")).find("rollout media-1 is under way"), std::string::npos);
  pb::DeleteRequest request;
  request.set_kind("Rollout");
  request.set_name("media-1");
  pb::ApplyResponse response;
  EXPECT_NE(client_->call("Fleet/Delete", request, response).error_message().find("abort it first"),
            std::string::npos);
  EXPECT_TRUE(control("media-1", pb::ROLLOUT_ACTION_PAUSE).ok());
  agents_.clear();
  server_.reset();
  start();
  EXPECT_EQ(version("media.eu-edge-1"), "1.2");
  EXPECT_TRUE(control("media-1", pb::ROLLOUT_ACTION_ABORT).ok());
  ASSERT_TRUE(eventually([&] { return version("media.eu-edge-1").empty(); }));
  EXPECT_FALSE(control("media-1", pb::ROLLOUT_ACTION_PAUSE).ok());
}

TEST_F(RolloutTest, ADrainForgetsTheNodeFirstThenWaitsForSessionsToEnd) {
  client_->apply(FleetClient::yaml(R"(
apiVersion: frameworks/v1
kind: Service
metadata: {name: media}
spec:
  role: nginx_rtmp
  placement: {tiers: [edge]}
  ports:
    - {name: rtmp, port: 1935, exposure: public, url: "rtmp://{address}:{port}/live"}
    - {name: http, port: 8080, exposure: public, url: "http://{address}:{port}/hls"}
  checks: [{type: tcp, port: rtmp}]
  tenantFacing: true
  drainCheck: {}
)"));
  ASSERT_TRUE(eventually([&] { return is_served_by("us-edge-1"); }));
  agent("us-edge-1").set_sessions(2);
  const auto planned = drain("us-edge-1", {}, true);
  EXPECT_EQ(planned.plan().blast_radius().nodes_size(), 1);
  EXPECT_GT(planned.plan().blast_radius().tenants_size(), 0);
  ASSERT_GT(planned.plan().steps_size(), 0);
  drain("us-edge-1");
  EXPECT_FALSE(is_served_by("us-edge-1"));  // at once
  EXPECT_TRUE(is_served_by("eu-edge-1"));
  EXPECT_FALSE(agent("us-edge-1").is_asked());  // only then
  ASSERT_TRUE(eventually([&] { return drain_of("us-edge-1").sessions() == 2; }));
  EXPECT_EQ(drain_of("us-edge-1").state(), pb::DRAIN_STATE_WAITING);
  EXPECT_EQ(drain_of("us-edge-1").message(), "media.us-edge-1 has 2 sessions");
  EXPECT_GT(agent("us-edge-1").tenants(), 0);
  drain("us-edge-1", std::chrono::seconds(1));
  ASSERT_TRUE(eventually([&] { return drain_of("us-edge-1").state() == pb::DRAIN_STATE_EXPIRED; }));
  // Whoever is left has no place there any more, and so is ended by the media server.
  ASSERT_TRUE(eventually([&] { return agent("us-edge-1").tenants() == 0; }));
  agent("us-edge-1").set_sessions(0);
  ASSERT_TRUE(eventually([&] { return drain_of("us-edge-1").state() == pb::DRAIN_STATE_DRAINED; }));
  pb::ResumeNodeRequest resume;
  resume.set_node("us-edge-1");
  pb::ApplyResponse response;
  ASSERT_TRUE(client_->call("Orchestration/Resume", resume, response).ok());
  EXPECT_TRUE(eventually([&] { return is_served_by("us-edge-1"); }));
  EXPECT_TRUE(eventually([&] { return agent("us-edge-1").tenants() > 0; }));
  EXPECT_TRUE(eventually([&] { return !agent("us-edge-1").is_asked(); }));
  EXPECT_TRUE(
      eventually([&] { return drain_of("us-edge-1").state() == pb::DRAIN_STATE_UNSPECIFIED; }));
}

}  // namespace
}  // namespace frameworks
