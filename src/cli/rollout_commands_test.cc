// The commands about rollouts and drains: what they ask for, and what they say.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/app.h"
#include "cli/fake_quartermaster.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/orchestration_api.grpc.pb.h"
#include "model/registry.h"

namespace frameworks::cli {
namespace {

// Answers what it was asked for, and remembers it. The real one is tested in src/server.
class FakeOrchestration final : public pb::Orchestration::Service {
 public:
  grpc::Status StartRollout(grpc::ServerContext*, const pb::StartRolloutRequest* request,
                            pb::RolloutResponse* response) override {
    started = *request;
    response->mutable_rollout()->mutable_metadata()->set_name(request->service() + "-2");
    return grpc::Status::OK;
  }
  grpc::Status ControlRollout(grpc::ServerContext*, const pb::ControlRolloutRequest* request,
                              pb::RolloutResponse* response) override {
    controlled = *request;
    response->mutable_rollout()->mutable_metadata()->set_name(request->rollout());
    return grpc::Status::OK;
  }
  grpc::Status Drain(grpc::ServerContext*, const pb::DrainNodeRequest* request,
                     pb::ApplyResponse* response) override {
    drained = *request;
    response->set_operation(operation);
    return grpc::Status::OK;
  }

  pb::StartRolloutRequest started;
  pb::ControlRolloutRequest controlled;
  pb::DrainNodeRequest drained;
  std::string operation;  // that a drain begins
};

class RolloutCommands : public ::testing::Test {
 protected:
  int run(const std::vector<std::string>& words) {
    out_.str("");
    err_.str("");
    Context context{
        .terminal = {out_, err_}, .profile = server_.profile(), .clock = system_clock()};
    return run_cli(words, context);
  }
  void put(pb::RolloutState state, const std::string& message = {}) {
    pb::Rollout rollout;
    rollout.mutable_metadata()->set_name("media-1");
    rollout.mutable_spec()->set_service("media");
    rollout.mutable_spec()->set_version("1.2");
    pb::RolloutStatus& status = *rollout.mutable_status();
    status.set_state(state);
    status.set_message(message);
    status.set_from_version("1.1");
    status.mutable_start_time()->set_seconds(100);
    pb::RolloutBatch& batch = *status.add_batches();
    batch.set_canary(true);
    batch.set_region("eu-west");
    batch.add_nodes("eu-edge-1");
    batch.set_state(pb::BATCH_STATE_GATE);
    batch.set_message("media.eu-edge-1 is down: refused");
    server_.fleet.put(Resource::of(rollout));
  }
  void put_drain(pb::DrainState state, const std::string& message) {
    pb::Node node;
    node.mutable_metadata()->set_name("eu-edge-1");
    node.mutable_status()->mutable_drain()->set_state(state);
    node.mutable_status()->mutable_drain()->set_message(message);
    if (state == pb::DRAIN_STATE_EXPIRED) {
      node.mutable_spec()->mutable_drain_deadline()->set_seconds(1'700'000'000);
      *node.mutable_status()->mutable_drain()->mutable_end_time() = node.spec().drain_deadline();
    }
    server_.fleet.put(Resource::of(node));
  }
  // One look at what is followed.
  int look_once(const std::vector<std::string>& words) {
    std::stop_source stop;
    stop.request_stop();
    out_.str("");
    Context context{
        .terminal = {out_, err_}, .profile = server_.profile(), .clock = system_clock()};
    context.stop = stop.get_token();
    return run_cli(words, context);
  }

  FakeOrchestration orchestration_;
  FakeQuartermaster server_{{&orchestration_}};
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(RolloutCommands, StartSendsWhatIsGivenAndLeavesTheRestToTheService) {
  EXPECT_EQ(run({"rollout", "start", "media", "--version", "1.2", "--canary", "0", "--batch", "3",
                 "--gate", "90s", "--drain", "1500ms"}),
            kExitOk)
      << err_.str();
  const pb::RolloutStrategy& strategy = orchestration_.started.strategy();
  EXPECT_EQ(orchestration_.started.version(), "1.2");
  EXPECT_TRUE(strategy.has_canary());
  EXPECT_EQ(strategy.batch_size(), 3);
  EXPECT_EQ(strategy.gate().seconds(), 90);
  EXPECT_EQ(strategy.drain().nanos(), 500'000'000);
  EXPECT_FALSE(strategy.has_patience());
  EXPECT_EQ(strategy.max_unavailable(), 0);
  EXPECT_NE(out_.str().find("rollout media-2 began"), std::string::npos) << out_.str();
  EXPECT_EQ(run({"rollout", "start", "media", "--version", ""}), kExitOk) << err_.str();
  EXPECT_FALSE(orchestration_.started.strategy().has_canary());
  EXPECT_EQ(run({"rollout", "start", "media"}), kExitBadInput);
}

TEST_F(RolloutCommands, StatusTellsOfEachBatch) {
  put(pb::ROLLOUT_STATE_RUNNING);
  EXPECT_EQ(run({"rollout", "status", "media"}), kExitOk) << err_.str();
  EXPECT_NE(out_.str().find("media-1  media to 1.2, from 1.1"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("1 canary"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("media.eu-edge-1 is down: refused"), std::string::npos);
  EXPECT_EQ(run({"rollout", "status", "other"}), kExitFailure);
  EXPECT_NE(err_.str().find("rollout list"), std::string::npos) << err_.str();
}

TEST_F(RolloutCommands, WatchingEndsWithTheRolloutAndSaysHow) {
  put(pb::ROLLOUT_STATE_ROLLED_BACK, "batch 1 failed");
  EXPECT_EQ(run({"rollout", "status", "media", "--watch"}), kExitOperationFailed);
  EXPECT_NE(out_.str().find("rolled-back: batch 1 failed"), std::string::npos) << out_.str();
  put(pb::ROLLOUT_STATE_SUCCEEDED);
  EXPECT_EQ(run({"rollout", "status", "media-1", "--watch"}), kExitOk);
}

TEST_F(RolloutCommands, ControlsTheOneThatIsUnderWay) {
  put(pb::ROLLOUT_STATE_RUNNING);
  EXPECT_EQ(run({"rollout", "pause", "media"}), kExitOk) << err_.str();
  EXPECT_EQ(orchestration_.controlled.rollout(), "media-1");
  EXPECT_EQ(orchestration_.controlled.action(), pb::ROLLOUT_ACTION_PAUSE);
  EXPECT_EQ(run({"rollout", "undo", "media"}), kExitOk) << err_.str();
  EXPECT_EQ(orchestration_.controlled.action(), pb::ROLLOUT_ACTION_ABORT);
}

TEST_F(RolloutCommands, UndoGoesBackToWhereItCameFrom) {
  put(pb::ROLLOUT_STATE_SUCCEEDED);
  EXPECT_EQ(run({"rollout", "undo", "media"}), kExitOk) << err_.str();
  EXPECT_EQ(orchestration_.started.version(), "1.1");
  put(pb::ROLLOUT_STATE_ROLLED_BACK);
  EXPECT_EQ(run({"rollout", "undo", "media"}), kExitFailure);
}

TEST_F(RolloutCommands, ADrainIsFollowedUntilItIsQuietOrTheDeadlinePassed) {
  put_drain(pb::DRAIN_STATE_DRAINED, "");
  EXPECT_EQ(run({"drain", "eu-edge-1", "--deadline", "30m"}), kExitOk) << err_.str();
  EXPECT_EQ(orchestration_.drained.deadline().seconds(), 1800);
  EXPECT_FALSE(orchestration_.drained.maintenance());
  EXPECT_NE(out_.str().find("eu-edge-1: drained"), std::string::npos) << out_.str();
  put_drain(pb::DRAIN_STATE_EXPIRED, "media.eu-edge-1 has 2 sessions");
  EXPECT_EQ(run({"maintenance", "eu-edge-1"}), kExitOperationFailed);
  EXPECT_TRUE(orchestration_.drained.maintenance());
  EXPECT_NE(out_.str().find("media.eu-edge-1 has 2 sessions"), std::string::npos) << out_.str();
  EXPECT_EQ(run({"drain", "eu-edge-1", "--no-wait"}), kExitOk);
}

TEST_F(RolloutCommands, ADrainIsToldFromItsBeginningAndDoesNotWaitForItsOperation) {
  orchestration_.operation = "apply-7";
  server_.final_status.set_state(pb::OPERATION_STATE_FAILED);
  server_.final_status.set_error("still waiting for edge-9: has not joined yet");
  put_drain(pb::DRAIN_STATE_DRAINED, "");
  EXPECT_EQ(run({"drain", "eu-edge-1"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(),
            "operation apply-7: follow it with `frameworks operation watch apply-7`\n"
            "eu-edge-1: drained\n");
  EXPECT_EQ(server_.watches, 0);
  put_drain(pb::DRAIN_STATE_UNSPECIFIED, "");
  EXPECT_EQ(look_once({"drain", "eu-edge-1"}), kExitInterrupted);
  EXPECT_NE(out_.str().find("eu-edge-1: begins\n"), std::string::npos) << out_.str();
}

TEST_F(RolloutCommands, ADrainWithANewDeadlineIsNotOverWhenTheOldOneWas) {
  put_drain(pb::DRAIN_STATE_EXPIRED, "media.eu-edge-1 has 2 sessions");
  pb::Node node = *server_.fleet.find<pb::Node>("eu-edge-1");
  node.mutable_spec()->mutable_drain_deadline()->set_seconds(1'700'000'600);
  server_.fleet.put(Resource::of(node));
  EXPECT_EQ(look_once({"drain", "eu-edge-1", "--deadline", "10m"}), kExitInterrupted);
  EXPECT_NE(out_.str().find("eu-edge-1: begins (deadline 2023-11-14T22:23:20Z)"),
            std::string::npos)
      << out_.str();
}

}  // namespace
}  // namespace frameworks::cli
