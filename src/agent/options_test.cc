#include "agent/options.h"

#include <gtest/gtest.h>

#include <map>

#include "agent/identity.h"
#include "agent/json_text.h"
#include "agent/status.h"
#include "base/file.h"
#include "machine/certificates/authority.h"

namespace frameworks {
namespace {

Result<CommandLine> parse(const std::vector<std::string>& arguments,
                          const std::map<std::string, std::string>& set = {}) {
  return parse_command_line(arguments, [&](const char* name) -> const char* {
    const auto found = set.find(name);
    return found == set.end() ? nullptr : found->second.c_str();
  });
}

TEST(Options, ComeFromTheCommandLineElseTheEnvironmentElseTheDefault) {
  const auto line =
      parse({"run", "--server=10.0.0.1:1", "--node", "a"},
            {{"FRAMEWORKS_SERVER", "10.0.0.2:2"}, {"FRAMEWORKS_STATE", "/srv/agent"}});
  ASSERT_TRUE(line) << line.error().text();
  EXPECT_EQ(line->agent.server, "10.0.0.1:1");
  EXPECT_EQ(line->agent.state, "/srv/agent");
  EXPECT_EQ(line->agent.media_listen, "127.0.0.1:18010");
  EXPECT_EQ(parse({}, {{"FRAMEWORKS_SERVER", "s:1"}, {"FRAMEWORKS_NODE", "n"}})->command, "run");
  EXPECT_EQ(parse({"--server", "s:1", "--node", "n", "--media-listen", "off"})->agent.media_listen,
            "");
  EXPECT_EQ(parse({"--server", "s:1", "--node", "n", "--media-log", "off"})->agent.media_log, "");
}

TEST(Options, SimulatedNodesLookForPeersOnlyWhereTheyAreTold) {
  const auto looks = [](const char* word) {
    return parse({"simulate", "--server", "s:1", "--tokens", "t", "--looks", word})
        ->agent.looks_for_peers;
  };
  EXPECT_TRUE(looks("yes"));
  EXPECT_FALSE(looks("no"));
  EXPECT_FALSE(AgentOptions().looks_for_peers);
}

TEST(Options, WhatIsWrongIsNamed) {
  const auto message = [](const std::vector<std::string>& arguments) {
    const auto line = parse(arguments);
    return line ? "accepted" : line.error().message();
  };
  EXPECT_EQ(message({"--sever", "x"}), "--sever: no such option; see frameworks-agent --help");
  EXPECT_EQ(message({"--server"}), "--server: no ADDR:PORT follows; see frameworks-agent --help");
  EXPECT_EQ(message({"--server", "nowhere"}),
            "--server \"nowhere\": give address:port (or FRAMEWORKS_SERVER); see frameworks-agent "
            "--help");
  EXPECT_EQ(message({"--server", "s:1"}),
            "--node: give this node's name (or FRAMEWORKS_NODE); see frameworks-agent --help");
  EXPECT_EQ(message({"walk"}), "\"walk\": no such command; see frameworks-agent --help");
  EXPECT_EQ(message({"run", "run"}), "\"run\": one command is enough; see frameworks-agent --help");
  EXPECT_EQ(message({"simulate", "--server", "s:1"}),
            "--tokens: give the folder of tokens; see frameworks-agent --help");
}

TEST(Options, HelpNamesEveryCommandAndHasExamples) {
  const std::string help = help_text();
  for (const char* word : {"run", "join", "status", "simulate", "version", "--token-file",
                           "$FRAMEWORKS_NODE", "Examples:"})
    EXPECT_NE(help.find(word), std::string::npos) << word;
  EXPECT_EQ(parse({"--help"})->command, "help");
}

TEST(JsonText, EscapesWhatJsonCannotHold) {
  EXPECT_EQ(json_string("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000ad\"");
}

class IdentityTest : public testing::Test {
 protected:
  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  TemporaryDirectory authority_directory_ = *TemporaryDirectory::make();
  Authority authority_ =
      std::move(*Authority::load_or_create(authority_directory_.path(), system_clock()));
};

TEST_F(IdentityTest, IsMadeOnceAndFoundAgain) {
  const auto first = Identity::load_or_create(directory_.path() / "state");
  ASSERT_TRUE(first) << first.error().text();
  const auto second = Identity::load_or_create(directory_.path() / "state");
  EXPECT_EQ(first->tls_key_pem(), second->tls_key_pem());
  EXPECT_EQ(first->wireguard_public_key(), second->wireguard_public_key());
  EXPECT_FALSE(second->credentials());
}

TEST_F(IdentityTest, ItsRequestIsSignedAndTheCertificateTaken) {
  Identity identity = *Identity::load_or_create(directory_.path() / "state");
  const auto issued = authority_.sign_node(*identity.certificate_request("edge-1"), "edge-1");
  ASSERT_TRUE(issued) << issued.error().text();
  ASSERT_TRUE(identity.store(issued->pem, authority_.certificate_pem()));
  const auto again = Identity::load_or_create(directory_.path() / "state");
  ASSERT_TRUE(again->credentials());
  // X.509 knows whole seconds only.
  EXPECT_EQ(again->credentials()->not_after,
            std::chrono::floor<std::chrono::seconds>(issued->not_after));
  EXPECT_LT(again->credentials()->renew_at(), issued->not_after);
}

TEST_F(IdentityTest, ACertificateForAnotherKeyIsRefused) {
  Identity identity = *Identity::load_or_create(directory_.path() / "state");
  const Identity other = *Identity::load_or_create(directory_.path() / "other");
  const auto issued = authority_.sign_node(*other.certificate_request("edge-1"), "edge-1");
  const auto refused = identity.store(issued->pem, authority_.certificate_pem());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_FALSE(identity.credentials());
  EXPECT_FALSE(identity.store("nonsense", ""));
}

TEST_F(IdentityTest, StatusTellsWhatTheNodeIsAndMakesNothing) {
  AgentOptions options;
  options.state = directory_.path() / "none";
  options.media_listen = "127.0.0.1:1";
  EXPECT_EQ(status_text(options, system_clock()).error().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(std::filesystem::exists(options.state));
  options.state = directory_.path() / "state";
  ASSERT_TRUE(Identity::load_or_create(options.state));
  const auto text = status_text(options, system_clock());
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_NE(text->find("certificate  none: this node has not joined"), std::string::npos) << *text;
  EXPECT_NE(text->find("agent        no agent answers on 127.0.0.1:1"), std::string::npos) << *text;
}

}  // namespace
}  // namespace frameworks
