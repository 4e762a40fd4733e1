// Secrets: in no file, no log line, no answer, no plan; and what becomes of them without their key.
#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>

#include <mutex>

#include "base/log.h"
#include "base/seal.h"
#include "frameworks/v1/access.pb.h"
#include "frameworks/v1/access_api.pb.h"
#include "model/json.h"
#include "server/fleet_client.h"
#include "server/quartermaster.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

constexpr const char* kValue = "correct-horse-battery-staple";
constexpr const char* kMarker = "marker-of-this-test";

std::string secret_yaml(const std::string& value) {
  return "apiVersion: frameworks/v1\nkind: Secret\nmetadata: {name: database, labels: {a: " +
         std::string(kMarker) + "}}\nspec: {data: {password: " + value + "}}\n";
}

// All that was logged; the server's threads log while a test looks.
class LogText final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    text_.append(line.data(), line.size());
  }
  void flush_() override {}

  std::string text_;
};

class SecretsTest : public ::testing::Test {
 protected:
  SecretsTest() : state_(directory_.path() / "state") {
    former_ = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", logged_));
    spdlog::set_level(spdlog::level::debug);
  }
  ~SecretsTest() override {
    client_.reset();
    server_.reset();
    spdlog::set_default_logger(former_);
  }

  Status start(bool rotate = false) {
    client_.reset();
    server_.reset();
    QuartermasterOptions options;
    options.state = state_;
    options.listen_grpc = options.listen_rest = "127.0.0.1:0";
    options.simulated = true;
    options.rotate_secrets = rotate;
    ASSIGN_OR_RETURN(server_, Quartermaster::start(options));
    client_ = std::make_unique<FleetClient>(state_, server_->grpc_port());
    return {};
  }
  void stop() {
    client_.reset();
    server_.reset();
  }
  // Files of the state folder, but for those that are secrets themselves, that hold the text.
  std::vector<std::string> files_with(const std::string& text) {
    std::vector<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(state_)) {
      const std::string name = entry.path().filename();
      if (!entry.is_regular_file() || name == "admin.token") continue;
      if (read_file(entry.path())->find(text) != std::string::npos) out.push_back(name);
    }
    return out;
  }
  std::string key() { return *read_file(state_ / "secrets.key"); }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  const fs::path state_;
  const std::shared_ptr<LogText> logged_ = std::make_shared<LogText>();
  std::shared_ptr<spdlog::logger> former_;
  std::unique_ptr<Quartermaster> server_;
  std::unique_ptr<FleetClient> client_;
};

TEST_F(SecretsTest, AreInNoAnswerAndNoPlan) {
  ASSERT_TRUE(start());
  const auto request = FleetClient::yaml(secret_yaml(kValue));
  const pb::Plan plan = client_->plan(request);
  EXPECT_EQ(plan.SerializeAsString().find(kValue), std::string::npos);
  EXPECT_NE(plan.SerializeAsString().find("(secret)"), std::string::npos);
  const pb::ApplyResponse applied = client_->apply(request);
  EXPECT_EQ(applied.SerializeAsString().find(kValue), std::string::npos);
  EXPECT_EQ(client_->get<pb::Secret>("database").spec().data().at("password"), "(secret)");

  // A violation beside it names what is wrong, not what is right.
  pb::ApplyResponse response;
  const auto refused = client_->call(
      "Fleet/Apply",
      FleetClient::yaml(secret_yaml("another-value-altogether") +
                        "---\napiVersion: frameworks/v1\nkind: Cluster\nmetadata: {name: x}\n"),
      response);
  EXPECT_FALSE(refused.ok());
  EXPECT_EQ((refused.error_message() + refused.error_details()).find("another-value"),
            std::string::npos);
  EXPECT_EQ(client_->plan(FleetClient::yaml(secret_yaml("changed"))).steps_size(), 1);
}

TEST_F(SecretsTest, WrittenAgainAreNoChange) {
  ASSERT_TRUE(start());
  client_->apply(FleetClient::yaml(secret_yaml(kValue)));
  // The fleet's revision goes on without it: operations write theirs.
  const int64_t revision = client_->get<pb::Secret>("database").metadata().revision();
  EXPECT_EQ(client_->plan(FleetClient::yaml(secret_yaml(kValue))).steps_size(), 0);
  client_->apply(FleetClient::yaml(secret_yaml(kValue)));
  EXPECT_EQ(client_->get<pb::Secret>("database").metadata().revision(), revision);
  EXPECT_EQ(client_->get<pb::Secret>("database").metadata().generation(), 1);
}

TEST_F(SecretsTest, AreInNoFileAndNoLogLineAfterWritesCompactionAndRestart) {
  ASSERT_TRUE(start());
  client_->apply(FleetClient::yaml(
      secret_yaml(kValue) +
      "---\napiVersion: frameworks/v1\nkind: Account\nmetadata: {name: ci}\nspec: {role: viewer}\n"
      "---\napiVersion: frameworks/v1\nkind: Cluster\nmetadata: {name: edge}\n"
      "spec: {tier: edge, region: eu, networks: {mesh: 10.64.1.0/24}}\n"));
  pb::CreateTokenRequest for_ci;
  for_ci.set_account("ci");
  pb::CreateTokenResponse token;
  ASSERT_TRUE(client_->call("Accounts/CreateToken", for_ci, token).ok());
  pb::CreateJoinTokenRequest for_edge;
  for_edge.set_cluster("edge");
  pb::CreateJoinTokenResponse join;
  ASSERT_TRUE(client_->call("Machines/CreateJoinToken", for_edge, join).ok());
  pb::LoginRequest login;
  login.set_provider("none");
  login.set_id_token("id-token-that-somebody-sent");
  pb::CreateTokenResponse none;
  EXPECT_FALSE(client_->call("Accounts/Login", login, none).ok());

  const std::string token_secret = token.token().substr(token.token().rfind('_') + 1);
  const std::string join_secret = join.token().substr(join.token().find_last_of("_.-") + 1);
  ASSERT_GE(join_secret.size(), 16u);
  const auto check = [&](const char* when) {
    EXPECT_FALSE(files_with(kMarker).empty()) << when;
    for (const std::string& text :
         {std::string(kValue), token_secret, join_secret, login.id_token()}) {
      EXPECT_EQ(files_with(text), std::vector<std::string>{}) << when;
      EXPECT_EQ(logged_->text().find(text), std::string::npos) << when;
    }
  };
  check("after writes");
  // More than makes the store compact its log.
  std::string many;
  for (int i = 0; i < 5'000; ++i)
    many +=
        fmt::format("---\napiVersion: frameworks/v1\nkind: Tenant\nmetadata: {{name: t{}}}\n", i);
  client_->apply(FleetClient::yaml(many));
  client_->apply(FleetClient::yaml(secret_yaml("second-value-of-the-secret")));
  check("after compaction");
  stop();
  check("after the end");
  ASSERT_TRUE(start());
  check("after a restart");
  EXPECT_EQ(files_with("second-value-of-the-secret"), std::vector<std::string>{});
  EXPECT_FALSE(logged_->text().empty());
}

TEST_F(SecretsTest, WithoutTheirKeyTheServerDoesNotStartAndNothingIsLost) {
  ASSERT_TRUE(start());
  client_->apply(FleetClient::yaml(secret_yaml(kValue)));
  const int64_t revision = client_->get<pb::Secret>("database").metadata().revision();
  stop();
  const std::string right = key();
  EXPECT_EQ(fs::status(state_ / "secrets.key").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);

  fs::remove(state_ / "secrets.key");
  const Status missing = start();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(missing.error().message().find("secrets.key: is missing, and Secret/database: "
                                           "spec.data.password: is sealed by key"),
            std::string::npos)
      << missing.error().message();
  EXPECT_FALSE(fs::exists(state_ / "secrets.key"));  // a new one would hide that it is missing

  ASSERT_TRUE(write_file(state_ / "secrets.key", SealKeys::make().text(), 0600));
  const Status wrong = start();
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message().find("is another one: Secret/database"), std::string::npos);
  ASSERT_TRUE(write_file(state_ / "secrets.key", "nonsense", 0600));
  EXPECT_FALSE(start());

  ASSERT_TRUE(write_file(state_ / "secrets.key", right, 0600));
  ASSERT_TRUE(start());
  EXPECT_EQ(client_->get<pb::Secret>("database").metadata().revision(), revision);
  EXPECT_EQ(client_->plan(FleetClient::yaml(secret_yaml(kValue))).steps_size(), 0);
}

TEST_F(SecretsTest, ANewKeyTakesOverAndTheOldOneMayGo) {
  ASSERT_TRUE(start());
  client_->apply(FleetClient::yaml(secret_yaml(kValue)));
  stop();
  const std::string old = key();
  ASSERT_TRUE(start(true));
  const std::string both = key();
  EXPECT_TRUE(both.ends_with(old));
  EXPECT_EQ(both.size(), 2 * old.size());
  stop();
  ASSERT_TRUE(write_file(state_ / "secrets.key", both.substr(0, old.size()), 0600));
  ASSERT_TRUE(start());
  EXPECT_EQ(client_->plan(FleetClient::yaml(secret_yaml(kValue))).steps_size(), 0);
  stop();
  ASSERT_TRUE(write_file(state_ / "secrets.key", old, 0600));
  EXPECT_FALSE(start());
}

}  // namespace
}  // namespace frameworks
