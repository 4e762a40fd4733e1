#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cstdlib>
#include <sstream>

#include "base/text.h"
#include "cli/app.h"
#include "cli/fake_quartermaster.h"
#include "runtime/openid/fake_issuer.h"

namespace frameworks::cli {
namespace {

namespace fs = std::filesystem;

class LoginTest : public ::testing::Test {
 protected:
  LoginTest() {
    setenv("XDG_CONFIG_HOME", directory_.path().c_str(), 1);
    pb::LoginProvider& provider = server_.providers.emplace_back();
    provider.set_name("corp");
    provider.set_issuer(FakeIssuer::kIssuer);
    provider.set_client_id(FakeIssuer::kClient);
    provider.add_scopes("openid");
    issuer_.set(std::string(FakeIssuer::kIssuer) + "/device",
                {{200, R"({"device_code":"dc","user_code":"WDJB-MJHT",)"
                       R"("verification_uri":"https://id.example.org/d","interval":1})"}});
    set_id_token(FakeQuartermaster::kIdToken);
  }
  ~LoginTest() override { unsetenv("XDG_CONFIG_HOME"); }

  void set_id_token(const std::string& token) {
    issuer_.set(
        std::string(FakeIssuer::kIssuer) + "/token",
        {{400, R"({"error":"authorization_pending"})"}, {200, R"({"id_token":")" + token + "\"}"}});
  }
  // With the server and CA told, and the token where the user's profile has it, unless told too.
  int say(const std::string& line, const std::string& token_file = "") {
    out_.str("");
    err_.str("");
    Profile profile = server_.profile();
    profile.token_file = token_file;
    Context context{
        .terminal = {out_, err_}, .profile = profile, .clock = system_clock(), .web = &issuer_};
    return run_cli(split(line, ' '), context);
  }
  fs::path kept() const { return directory_.path() / "frameworks/token"; }
  static std::string permissions(const fs::path& path) {
    return fmt::format("{:o}", static_cast<unsigned>(fs::status(path).permissions()));
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  FakeQuartermaster server_;
  FakeIssuer issuer_;
  std::ostringstream out_, err_;
};

TEST_F(LoginTest, ShowsTheCodeKeepsTheTokenAndUsesItFromThenOn) {
  EXPECT_EQ(say("login"), kExitOk) << err_.str();
  EXPECT_NE(err_.str().find("Open https://id.example.org/d and enter the code WDJB-MJHT"),
            std::string::npos)
      << err_.str();
  EXPECT_EQ(
      out_.str(),
      "logged in as account/ada, operator, the whole fleet, until 2027-01-15T08:00:00.000Z\n");
  EXPECT_EQ((out_.str() + err_.str()).find("geheim"), std::string::npos);
  EXPECT_EQ(*read_file(kept()), std::string(FakeQuartermaster::kLoginToken) + "\n");
  EXPECT_EQ(permissions(kept()), "600");
  EXPECT_EQ(permissions(kept().parent_path()), "700");
  EXPECT_EQ(say("whoami"), kExitOk) << err_.str();
  const auto profile = boost::json::parse(*read_file(kept().parent_path() / "profile.json"));
  EXPECT_EQ(profile.at("server"), server_.profile().server.c_str());
  EXPECT_EQ(profile.at("tokenFile"), kept().c_str());
}

TEST_F(LoginTest, TellsProgramsALineEach) {
  EXPECT_EQ(say("--json login corp"), kExitOk) << err_.str();
  const auto lines = split(std::string(trim(out_.str())), '\n');
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(boost::json::parse(lines[0]).at("userCode"), "WDJB-MJHT");
  EXPECT_EQ(boost::json::parse(lines[1]).at("account"), "ada");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(LoginTest, TakesAnIdTokenFromAFileAndKeepsTheTokenWhereItIsTold) {
  const fs::path id_token = directory_.path() / "id.jwt";
  const fs::path token = directory_.path() / "ci.token";
  ASSERT_TRUE(write_file(id_token, std::string(FakeQuartermaster::kIdToken) + "\n"));
  EXPECT_EQ(say("login --id-token-file " + id_token.string(), token), kExitOk) << err_.str();
  EXPECT_EQ(permissions(token), "600");
  EXPECT_FALSE(fs::exists(kept()));
  EXPECT_FALSE(fs::exists(kept().parent_path() / "profile.json"));
  EXPECT_EQ(issuer_.asked(std::string(FakeIssuer::kIssuer) + "/device"), 0u);
}

TEST_F(LoginTest, LeavesAFileThatHoldsSomethingElseAlone) {
  const fs::path admin = directory_.path() / "admin.token";
  ASSERT_TRUE(write_file(admin, "fw-0123456789\n", 0600));
  EXPECT_EQ(say("login", admin), kExitFailure);
  EXPECT_NE(err_.str().find("something else than a log-in's token"), std::string::npos);
  EXPECT_EQ(*read_file(admin), "fw-0123456789\n");
}

TEST_F(LoginTest, SaysWhatTheServerRefuses) {
  set_id_token("bad");
  EXPECT_EQ(say("login"), kExitFailure);
  EXPECT_EQ(err_.str().substr(err_.str().rfind("error")), "error: the ID token is not good\n");
  EXPECT_FALSE(fs::exists(kept()));
  issuer_.set_reachable(false);
  EXPECT_EQ(say("login"), kExitUnreachable);
}

TEST_F(LoginTest, ProvidersAreChosenByNameWhereThereAreSeveral) {
  server_.providers.push_back(server_.providers.front());
  server_.providers.back().set_name("partner");
  EXPECT_EQ(say("login"), kExitBadInput);
  EXPECT_NE(err_.str().find("name the provider: one of corp, partner"), std::string::npos);
  EXPECT_EQ(say("login elsewhere"), kExitBadInput);
  EXPECT_EQ(say("login partner"), kExitOk) << err_.str();
  server_.providers.clear();
  EXPECT_EQ(say("login"), kExitFailure);
}

TEST_F(LoginTest, LoggingOutRevokesTheTokenAndForgetsIt) {
  ASSERT_EQ(say("login"), kExitOk);
  EXPECT_EQ(say("logout"), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), "logged out\n");
  EXPECT_TRUE(server_.revoked);
  EXPECT_FALSE(fs::exists(kept()));
  // One that is no longer good is only forgotten.
  ASSERT_TRUE(write_file(kept(), std::string(FakeQuartermaster::kLoginToken), 0600));
  EXPECT_EQ(say("logout"), kExitOk) << err_.str();
  EXPECT_FALSE(fs::exists(kept()));
}

TEST_F(LoginTest, AnInterruptEndsTheWait) {
  std::stop_source stop;
  stop.request_stop();
  std::ostringstream out, err;
  Profile profile = server_.profile();
  profile.token_file.clear();
  Context context{.terminal = {out, err},
                  .profile = profile,
                  .clock = system_clock(),
                  .stop = stop.get_token(),
                  .web = &issuer_};
  EXPECT_EQ(run_cli({"login"}, context), kExitInterrupted);
}

}  // namespace
}  // namespace frameworks::cli
