// A server that is killed in the midst of an apply, as by a power cut.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <boost/json.hpp>

#include "frameworks/v1/operation.pb.h"
#include "server/fake_agent.h"
#include "server/fleet_client.h"

namespace frameworks {
namespace {

// The real binary as a child.
class ServerProcess {
 public:
  explicit ServerProcess(std::filesystem::path state) : state_(std::move(state)) {
    std::filesystem::remove(state_ / "listening.json");
    pid_ = fork();
    if (pid_ == 0) {
      const int log = open((state_.string() + ".log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(log, 2);
      execl(FW_QUARTERMASTER, "quartermaster", "--state", state_.c_str(), "--machines", "simulated",
            "--listen-grpc", "127.0.0.1:0", "--listen-rest", "127.0.0.1:0", "--heartbeat", "250ms",
            nullptr);
      _exit(127);
    }
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(state_ / "listening.json"); }));
    port_ = static_cast<int>(boost::json::parse(*read_file(state_ / "listening.json"))
                                 .as_object()
                                 .at("grpc")
                                 .as_int64());
  }
  ~ServerProcess() { end(SIGTERM); }

  int end(int signal) {
    if (pid_ <= 0) return 0;
    kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  [[nodiscard]] int port() const { return port_; }

 private:
  const std::filesystem::path state_;
  pid_t pid_ = -1;
  int port_ = 0;
};

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
    FleetClient client(state, server.port());
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
  FleetClient client(state, server.port());
  EXPECT_EQ(client.apply(FleetClient::demo()).operation(), operation) << "it still runs";
  std::vector<std::unique_ptr<FakeAgent>> agents;
  for (const std::string& node : demo_nodes())
    agents.push_back(std::make_unique<FakeAgent>(state, server.port(), node));
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
    FleetClient client(state, server.port());
    operation = client.apply(FleetClient::demo()).operation();
    system_clock().sleep_for(std::chrono::milliseconds(13 * round), {});
    server.end(SIGKILL);
  }
  ServerProcess server(state);
  FleetClient client(state, server.port());
  operation = client.apply(FleetClient::demo()).operation();
  std::vector<std::unique_ptr<FakeAgent>> agents;
  for (const std::string& node : demo_nodes())
    agents.push_back(std::make_unique<FakeAgent>(state, server.port(), node));
  const auto final = client.wait(operation);
  EXPECT_EQ(final.state(), pb::OPERATION_STATE_SUCCEEDED) << final.error();
  EXPECT_EQ(client.plan(FleetClient::demo()).steps_size(), 0);
}

}  // namespace
}  // namespace frameworks
