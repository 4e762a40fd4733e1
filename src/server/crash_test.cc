// A server that is killed in the midst of an apply, as by a power cut.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "frameworks/v1/operation.pb.h"
#include "server/fake_agent.h"
#include "server/fleet_client.h"
#include "server/server_process.h"

namespace frameworks {
namespace {

std::vector<std::string> tokens_of(FleetClient& client) {
  pb::ListRequest request;
  request.set_kind("jointoken");
  pb::ListResponse response;
  EXPECT_TRUE(client.call("Fleet/List", request, response).ok());
  std::vector<std::string> out;
  for (const auto& any : response.resources()) out.push_back(unpack(any)->name());
  return out;
}

TEST(ServerCrash, AnApplyIsTakenUpWhereItWasAndNothingIsMadeTwice) {
  const auto directory = TemporaryDirectory::make();
  const auto state = directory->path() / "state";
  std::string operation;
  std::vector<std::string> tokens;
  {
    ServerProcess server(state);
    FleetClient client(state, server.grpc_port());
    operation = client.apply(FleetClient::demo()).operation();
    // Nobody joins: it gets as far as waiting for nodes.
    ASSERT_TRUE(eventually([&] {
      const auto status = client.get<pb::Operation>(operation).status();
      return status.steps_size() == 3 && status.steps(2).state() == pb::OPERATION_STATE_RUNNING;
    }));
    tokens = tokens_of(client);
    server.end(SIGKILL);
  }
  ServerProcess server(state);
  FleetClient client(state, server.grpc_port());
  EXPECT_EQ(client.apply(FleetClient::demo()).operation(), operation) << "it still runs";
  std::vector<std::unique_ptr<FakeAgent>> agents;
  for (const std::string& node : demo_nodes())
    agents.push_back(std::make_unique<FakeAgent>(state, server.grpc_port(), node));
  const auto final = client.wait(operation);
  EXPECT_EQ(final.state(), pb::OPERATION_STATE_SUCCEEDED) << final.error();
  EXPECT_EQ(final.attempts(), 2);
  EXPECT_EQ(tokens_of(client), tokens);
  EXPECT_EQ(client.plan(FleetClient::demo()).steps_size(), 0);
  agents.clear();
  const int status = server.end(SIGTERM);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(ServerCrash, KilledAtAnyMomentTheFleetConvergesAfterAll) {
  const auto directory = TemporaryDirectory::make();
  const auto state = directory->path() / "state";
  std::string operation;
  for (int round = 0; round < 5; ++round) {
    ServerProcess server(state);
    FleetClient client(state, server.grpc_port());
    operation = client.apply(FleetClient::demo()).operation();
    system_clock().sleep_for(std::chrono::milliseconds(13 * round), {});
    server.end(SIGKILL);
  }
  ServerProcess server(state);
  FleetClient client(state, server.grpc_port());
  operation = client.apply(FleetClient::demo()).operation();
  std::vector<std::unique_ptr<FakeAgent>> agents;
  for (const std::string& node : demo_nodes())
    agents.push_back(std::make_unique<FakeAgent>(state, server.grpc_port(), node));
  const auto final = client.wait(operation);
  EXPECT_EQ(final.state(), pb::OPERATION_STATE_SUCCEEDED) << final.error();
  EXPECT_EQ(client.plan(FleetClient::demo()).steps_size(), 0);
}

}  // namespace
}  // namespace frameworks
