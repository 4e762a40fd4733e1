// An agent against a server in the same process: real TLS and streams, fake drivers.
#include "agent/agent.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "agent/fake_server.h"
#include "agent/simulate.h"
#include "base/file.h"
#include "config/mesh/fake_wireguard.h"
#include "config/mesh/mesh_changes.h"
#include "machine/network_security/fake_packet_filter.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

// The machine's clock, but another time of day.
class ShiftedClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const override { return system_clock().wall() + shift; }
  [[nodiscard]] MonoTime mono() const override { return system_clock().mono(); }
  bool sleep_for(Duration duration, std::stop_token stop) override {
    return system_clock().sleep_for(duration, stop);
  }
  std::chrono::hours shift{0};
};

pb::PlanUpdate whole_plan(int64_t revision) {
  pb::PlanUpdate plan;
  plan.set_revision(revision);
  plan.mutable_mesh()->set_listen_port(51820);
  plan.mutable_firewall()->set_ruleset("table inet frameworks\n}\n");
  auto& record = *plan.mutable_names()->add_records();
  record.set_address("10.64.1.1");
  record.add_names("core-1");
  plan.mutable_checks();
  plan.mutable_tenancy()->add_tenants()->set_tenant("acme");
  for (const char* name : {"mesh", "firewall", "names", "checks", "tenancy"})
    (*plan.mutable_section_hashes())[name] = fmt::format("{}@{}", name, revision);
  return plan;
}

class AgentLife : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_file(directory_.path() / "ca.pem", server_.ca_pem()));
    options_.server = server_.address();
    options_.node = "edge-1";
    options_.state = directory_.path() / "state";
    options_.token_file = directory_.path() / "token";
    options_.ca_file = directory_.path() / "ca.pem";
    options_.media_listen = "";
  }
  void TearDown() override { stop(); }

  void give_token(const std::string& token) {
    ASSERT_TRUE(write_file(options_.token_file, token + "\n"));
  }

  void start() {
    auto wireguard = std::make_unique<FakeWireguard>();
    wireguard_ = wireguard.get();
    NodeDrivers drivers{.wireguard = std::move(wireguard),
                        .packet_filter = std::make_unique<FakePacketFilter>(),
                        .hosts = directory_.path() / "hosts",
                        .sysctl = directory_.path() / "sysctl"};
    auto agent = Agent::start(options_, std::move(drivers), make_network_prober(), clock_);
    ASSERT_TRUE(agent) << agent.error().text();
    agent_ = std::move(*agent);
    thread_ = std::jthread([this](const std::stop_token& stop) { agent_->run(stop); });
  }
  void stop() {
    thread_ = {};
    agent_ = nullptr;
  }
  void start_joined() {
    give_token("good");
    start();
    ASSERT_TRUE(server_.wait([&] { return !server_.hellos.empty(); }));
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  ShiftedClock clock_;
  FakeServer server_{system_clock()};
  AgentOptions options_;
  FakeWireguard* wireguard_ = nullptr;
  std::unique_ptr<Agent> agent_;
  std::jthread thread_;
};

TEST_F(AgentLife, JoinsWithItsTokenAndSpeaksAsItselfFromThenOn) {
  start_joined();
  ASSERT_TRUE(server_.wait([&] { return server_.heartbeats >= 3; }));
  EXPECT_EQ(server_.identity, "spiffe://frameworks/node/edge-1");
  EXPECT_EQ(server_.joins.size(), 1u);
  EXPECT_FALSE(fs::exists(options_.token_file));
  EXPECT_EQ(base64_decode(server_.hellos[0].wireguard_public_key())->size(), 32u);
  EXPECT_EQ(server_.hellos[0].wireguard_backend(), "fake");
  for (const char* secret : {"node.key", "wireguard.key"}) {
    struct stat info {};
    ASSERT_EQ(stat((options_.state / secret).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777u, 0600u) << secret;
  }
}

TEST_F(AgentLife, KeepsItsIdentityWhenItStartsAgain) {
  start_joined();
  stop();
  start();
  ASSERT_TRUE(server_.wait([&] { return server_.hellos.size() >= 2; }));
  EXPECT_EQ(server_.joins.size(), 1u);
  EXPECT_EQ(server_.hellos[0].wireguard_public_key(), server_.hellos[1].wireguard_public_key());
}

TEST_F(AgentLife, ARefusedTokenStaysAndIsTriedOnceAndAnotherOneIsTaken) {
  give_token("forged");
  start();
  ASSERT_TRUE(server_.wait([&] { return server_.joins.size() == 1; }));
  EXPECT_TRUE(fs::exists(options_.token_file));
  give_token("good");
  ASSERT_TRUE(server_.wait([&] { return !server_.hellos.empty(); }));
  EXPECT_EQ(server_.joins.size(), 2u);
}

TEST_F(AgentLife, AServerOfAnotherAuthorityIsNotTrusted) {
  FakeServer stranger{system_clock()};
  options_.server = stranger.address();
  Identity identity = *Identity::load_or_create(options_.state);
  give_token("good");
  const auto refused = join_fleet({.server = stranger.address(), .ca_pem = server_.ca_pem()}, {},
                                  std::chrono::seconds(5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kUnavailable);
  EXPECT_TRUE(stranger.joins.empty());
}

TEST_F(AgentLife, AppliesAPlanAndAnswers) {
  start_joined();
  server_.send_plan(whole_plan(7));
  ASSERT_TRUE(server_.wait([&] { return !server_.acks.empty(); }));
  const pb::PlanAck& ack = server_.acks[0];
  EXPECT_EQ(ack.revision(), 7);
  EXPECT_EQ(ack.applied_size(), 5);
  EXPECT_TRUE(ack.errors().empty());
  EXPECT_GT(ack.elapsed_us(), 0);
  EXPECT_EQ(wireguard_->observe()->config.listen_port, 51820);
  EXPECT_NE(read_file(directory_.path() / "hosts")->find("10.64.1.1 core-1"), std::string::npos);
}

TEST_F(AgentLife, ASectionThatFailsIsToldAndTheOthersApplyAndItIsNotClaimedLater) {
  start_joined();
  wireguard_->fail_next("no such device");
  server_.send_plan(whole_plan(7));
  ASSERT_TRUE(server_.wait([&] { return !server_.acks.empty(); }));
  EXPECT_EQ(server_.acks[0].errors().at("mesh"), "no such device");
  EXPECT_EQ(server_.acks[0].applied_size(), 4);
  EXPECT_NE(agent_->status_json().find("no such device"), std::string::npos);
  server_.end_session();
  ASSERT_TRUE(server_.wait([&] { return server_.hellos.size() >= 2; }));
  EXPECT_FALSE(server_.hellos[1].section_hashes().contains("mesh"));
  EXPECT_EQ(server_.hellos[1].section_hashes().at("tenancy"), "tenancy@7");
  server_.send_plan(whole_plan(8));
  ASSERT_TRUE(server_.wait([&] { return server_.acks.size() >= 2; }));
  EXPECT_EQ(server_.acks[1].applied_size(), 5);
}

pb::MeshSection mesh_with(const std::vector<std::string>& peers) {
  pb::MeshSection mesh;
  mesh.set_listen_port(51820);
  for (const std::string& name : peers) {
    pb::MeshPeer& peer = *mesh.add_peers();
    peer.set_node(name);
    peer.set_public_key(base64_encode(sha256(name)));
  }
  return mesh;
}

pb::PlanUpdate mesh_update(int64_t revision, const pb::MeshSection& mesh, const std::string& hash) {
  pb::PlanUpdate update;
  update.set_revision(revision);
  *update.mutable_mesh() = mesh;
  (*update.mutable_section_hashes())["mesh"] = hash;
  return update;
}

TEST_F(AgentLife, ChangesOfTheMeshArePutToWhatIsInForceAndOnDisk) {
  start_joined();
  const auto before = mesh_with({"a", "b", "c"});
  const auto now = mesh_with({"a", "c", "d"});
  server_.send_plan(mesh_update(7, before, mesh_hash(before)));
  auto changes = mesh_with({"d"});
  changes.set_changes_since(mesh_hash(before));
  changes.add_removed_peers(base64_encode(sha256("b")));
  server_.send_plan(mesh_update(8, changes, mesh_hash(now)));
  ASSERT_TRUE(server_.wait([&] { return server_.acks.size() == 2; }));
  EXPECT_EQ(server_.acks[1].applied_size(), 1);
  EXPECT_EQ(wireguard_->observe()->config.peers.size(), 3u);
  pb::PlanUpdate kept;
  ASSERT_TRUE(kept.ParseFromString(*read_file(options_.state / "plan.pb")));
  EXPECT_EQ(kept.mesh().SerializeAsString(), now.SerializeAsString());
  server_.end_session();
  ASSERT_TRUE(server_.wait([&] { return server_.hellos.size() >= 2; }));
  EXPECT_EQ(server_.hellos[1].section_hashes().at("mesh"), mesh_hash(now));
}

TEST_F(AgentLife, ChangesOfAnotherMeshOrToAnotherOneAreRefusedAndTheWholeIsTaken) {
  start_joined();
  const auto before = mesh_with({"a", "b"});
  const auto now = mesh_with({"a", "b", "c"});
  server_.send_plan(mesh_update(7, before, mesh_hash(before)));
  auto changes = mesh_with({"c"});
  changes.set_changes_since("something else");
  server_.send_plan(mesh_update(8, changes, mesh_hash(now)));
  server_.send_plan(mesh_update(9, before, mesh_hash(before)));
  changes.set_changes_since(mesh_hash(before));
  server_.send_plan(mesh_update(10, changes, "not what comes of it"));
  ASSERT_TRUE(server_.wait([&] { return server_.acks.size() == 4; }));
  EXPECT_NE(server_.acks[1].errors().at("mesh").find("not in force"), std::string::npos);
  EXPECT_NE(server_.acks[3].errors().at("mesh").find("not what the server"), std::string::npos);
  EXPECT_EQ(wireguard_->observe()->config.peers.size(), 2u);
  server_.send_plan(mesh_update(11, now, mesh_hash(now)));
  ASSERT_TRUE(server_.wait([&] { return server_.acks.size() == 5; }));
  EXPECT_EQ(wireguard_->observe()->config.peers.size(), 3u);
}

TEST_F(AgentLife, TheLastGoodPlanIsInForceWithoutTheServer) {
  start_joined();
  server_.send_plan(whole_plan(7));
  ASSERT_TRUE(server_.wait([&] { return !server_.acks.empty(); }));
  stop();
  options_.server = "127.0.0.1:1";
  options_.media_listen = options_.media_log = "127.0.0.1:0";
  start();
  EXPECT_EQ(wireguard_->observe()->config.listen_port, 51820);
  EXPECT_NE(
      agent_->status_json().find(
          "\"connected\": false, \"secondsSinceContact\": -1, \"revision\": 7, \"tenants\": 1"),
      std::string::npos)
      << agent_->status_json();
}

TEST_F(AgentLife, APlanFileThatIsNotOneIsLeftOutOfAccount) {
  start_joined();
  stop();
  ASSERT_TRUE(write_file(options_.state / "plan.pb", "\xff\xff not a plan"));
  start();
  ASSERT_TRUE(server_.wait([&] { return server_.hellos.size() >= 2; }));
  EXPECT_TRUE(server_.hellos[1].section_hashes().empty());
}

TEST_F(AgentLife, ComesBackWhenTheServerDoes) {
  start_joined();
  for (size_t i = 2; i <= 4; ++i) {
    server_.end_session();
    ASSERT_TRUE(server_.wait([&] { return server_.hellos.size() >= i; }));
  }
}

TEST_F(AgentLife, RenewsItsCertificateAfterTwoThirdsOfItsLife) {
  start_joined();
  const std::string first = *read_file(options_.state / "node.crt");
  stop();
  clock_.shift = std::chrono::hours(17);
  start();
  ASSERT_TRUE(server_.wait([&] { return server_.renewals == 1; }));
  // Heartbeats follow the answer on the same stream.
  const int beats = server_.heartbeats;
  ASSERT_TRUE(server_.wait([&] { return server_.heartbeats >= beats + 3; }));
  EXPECT_NE(*read_file(options_.state / "node.crt"), first);
}

TEST_F(AgentLife, WithAnExpiredCertificateItJoinsAgain) {
  start_joined();
  stop();
  clock_.shift = std::chrono::hours(25);
  give_token("good");
  start();
  ASSERT_TRUE(server_.wait([&] { return server_.joins.size() >= 2; }));
}

TEST_F(AgentLife, TellsTheStateOfItsChecksAgainAfterItCameBack) {
  start_joined();
  pb::PlanUpdate plan;
  plan.set_revision(1);
  auto& instance = *plan.mutable_checks()->add_instances();
  instance.set_instance("nats.edge-1");
  auto& probe = *instance.add_probes();
  probe.set_name("client");
  probe.set_type(pb::CHECK_TYPE_TCP);
  probe.set_target(server_.address());  // something that listens
  server_.send_plan(plan);
  ASSERT_TRUE(server_.wait([&] { return !server_.checks.empty(); }));
  EXPECT_TRUE(server_.checks[0].healthy());
  EXPECT_EQ(server_.checks[0].instance(), "nats.edge-1");
  server_.end_session();
  ASSERT_TRUE(server_.wait([&] { return server_.checks.size() >= 2; }));
  EXPECT_EQ(server_.checks[1].check(), "client");
}

TEST_F(AgentLife, SimulatedNodesJoinAsTheirTokensCome) {
  const fs::path tokens = directory_.path() / "tokens";
  fs::create_directories(tokens);
  ASSERT_TRUE(write_file(tokens / "edge-1.token", "good"));
  options_.state = directory_.path() / "nodes";
  std::jthread simulation(
      [&](const std::stop_token& stop) { (void)simulate(options_, tokens, clock_, stop); });
  ASSERT_TRUE(server_.wait([&] { return server_.hellos.size() == 1; }));
  EXPECT_TRUE(server_.hellos[0].simulated());
  ASSERT_TRUE(write_file(tokens / "edge-2.token", "good"));
  ASSERT_TRUE(
      server_.wait([&] { return server_.hellos.size() >= 2 && server_.joins.size() == 2; }));
  EXPECT_EQ(server_.joins[1].node(), "edge-2");
}

TEST(Backoff, GrowsFromAFifthOfASecondToFiveAndIsHalfRandom) {
  using std::chrono::milliseconds;
  EXPECT_EQ(backoff(0, 0), milliseconds(100));
  EXPECT_EQ(backoff(2, 0), milliseconds(400));
  EXPECT_EQ(backoff(1000, 0), milliseconds(2500));
  EXPECT_LT(backoff(1000, 0.999), milliseconds(5001));
  EXPECT_GT(backoff(1000, 0.999), milliseconds(4990));
}

}  // namespace
}  // namespace frameworks
