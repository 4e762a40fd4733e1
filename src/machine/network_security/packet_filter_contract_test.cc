// What every packet filter must do, the fake and the real one; and of the real one, that it lets in
// what it should and nothing else. The real one runs in a network namespace of the test's own, and
// is skipped where none can be made.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "base/fd.h"
#include "base/network_namespace.h"
#include "base/process.h"
#include "machine/network_security/fake_packet_filter.h"
#include "machine/network_security/firewall_driver.h"
#include "machine/network_security/ruleset.h"

namespace frameworks {
namespace {

enum class Side { kFake, kReal };

void ip(const std::string& words) {
  const auto done = run_checked({.argv = {"sh", "-c", "ip " + words}});
  ASSERT_TRUE(done) << done.error().text();
}

std::string ruleset_opening(int port) {
  Ruleset rules;
  rules.input({.protocol = "tcp", .ports = {port}}, Verdict::kAccept, "test");
  return rules.text();
}

class PacketFilterContract : public testing::TestWithParam<Side> {
 protected:
  void SetUp() override {
    if (GetParam() == Side::kFake) {
      filter_ = std::make_unique<FakePacketFilter>();
      return;
    }
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!run({.argv = {"nft", "--version"}})) GTEST_SKIP() << "needs the program nft";
    if (!namespace_.enter()) GTEST_SKIP() << "network namespaces cannot be made here";
    filter_ = make_nft_packet_filter();
  }

  NetworkNamespace namespace_;
  std::unique_ptr<PacketFilter> filter_;
};

TEST_P(PacketFilterContract, CarriesNoMarkBeforeTheFirstReplacement) {
  const auto mark = filter_->mark();
  ASSERT_TRUE(mark) << mark.error().text();
  EXPECT_EQ(*mark, std::nullopt);
}

TEST_P(PacketFilterContract, CarriesTheMarkOfTheLastReplacement) {
  ASSERT_TRUE(filter_->replace(ruleset_opening(80), "first"));
  ASSERT_TRUE(filter_->replace(ruleset_opening(81), "second"));
  EXPECT_EQ(*filter_->mark(), "second");
}

TEST_P(PacketFilterContract, ARefusedRulesetLeavesTheFilterAsItWas) {
  ASSERT_TRUE(filter_->replace(ruleset_opening(80), "good"));
  const auto refused = filter_->replace("table inet frameworks\nnonsense", "bad");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(*filter_->mark(), "good");
}

TEST_P(PacketFilterContract, TheDriverReplacesWhatDiffersAndNothingElse) {
  pb::FirewallSection section;
  section.set_ruleset(ruleset_opening(80));
  ASSERT_TRUE(apply_firewall(section, *filter_));
  const auto mark = *filter_->mark();
  ASSERT_TRUE(apply_firewall(section, *filter_));
  EXPECT_EQ(*filter_->mark(), mark);
  section.set_ruleset(ruleset_opening(81));
  ASSERT_TRUE(apply_firewall(section, *filter_));
  EXPECT_NE(*filter_->mark(), mark);
}

INSTANTIATE_TEST_SUITE_P(Fake, PacketFilterContract, testing::Values(Side::kFake));
INSTANTIATE_TEST_SUITE_P(Real, PacketFilterContract, testing::Values(Side::kReal));

TEST(FirewallDriver, LeavesAFilterAloneThatIsRightAlready) {
  FakePacketFilter filter;
  pb::FirewallSection section;
  section.set_ruleset(ruleset_opening(80));
  ASSERT_TRUE(apply_firewall(section, filter));
  ASSERT_TRUE(apply_firewall(section, filter));
  EXPECT_EQ(filter.replacements(), 1);
}

TEST(FirewallDriver, TellsWhyTheFilterRefused) {
  FakePacketFilter filter;
  filter.fail_next("no memory");
  pb::FirewallSection section;
  section.set_ruleset(ruleset_opening(80));
  EXPECT_EQ(apply_firewall(section, filter).error().message(), "no memory");
}

enum class Attempt { kOpens, kBlocked, kRefused };

Fd listener(int port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(port));
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(fd.get(), 8) != 0)
    return {};
  return fd;
}

Attempt attempt(const char* from, const char* to, int port) {
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in local{}, remote{};
  local.sin_family = remote.sin_family = AF_INET;
  inet_pton(AF_INET, from, &local.sin_addr);
  inet_pton(AF_INET, to, &remote.sin_addr);
  remote.sin_port = htons(static_cast<uint16_t>(port));
  bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof local);
  (void)connect(fd.get(), reinterpret_cast<sockaddr*>(&remote), sizeof remote);
  pollfd state{fd.get(), POLLOUT, 0};
  // A packet that is let in is answered at once; what is dropped never is.
  if (poll(&state, 1, 500) == 0) return Attempt::kBlocked;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? Attempt::kOpens : Attempt::kRefused;
}

// A node with its filter, and beside it two neighbours on an interface that is called like the
// mesh's.
class RealPacketFilter : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!run({.argv = {"nft", "--version"}})) GTEST_SKIP() << "needs the program nft";
    if (!node_.enter()) GTEST_SKIP() << "network namespaces cannot be made here";
    ASSERT_TRUE(outside_.enter());
    node_.resume();
    for (const char* pair : {"fw0", "eth0"}) {
      ip(fmt::format("link add {0} type veth peer name {0} netns {1}", pair, outside_.path()));
      ip(fmt::format("link set {} up", pair));
    }
    ip("address add 10.64.0.1/24 dev fw0 && ip address add 192.0.2.1/24 dev eth0 && ip link set lo "
       "up");
    outside_.resume();
    ip("address add 10.64.0.2/24 dev fw0 && ip address add 10.64.0.3/24 dev fw0 && ip link set fw0 "
       "up");
    ip("address add 192.0.2.2/24 dev eth0 && ip link set eth0 up");
    node_.resume();
  }

  Attempt from(const char* source, const char* target, int port) {
    outside_.resume();
    const Attempt result = attempt(source, target, port);
    node_.resume();
    return result;
  }

  NetworkNamespace node_, outside_;
};

TEST_F(RealPacketFilter, LetsInWhatThePlanAllowsAndNothingElse) {
  Ruleset rules;
  AddressList consumers, everywhere, banned;
  consumers.add(*Cidr::parse("10.64.0.2/32"));
  everywhere.add(*Cidr::parse("0.0.0.0/0"));
  everywhere.add(*Cidr::parse("::/0"));
  banned.add(*Cidr::parse("192.0.2.2/32"));
  rules.input_from("banned", banned, {.protocol = "tcp", .ports = {8443}}, Verdict::kDrop,
                   "drop first");
  rules.input_from("everywhere", everywhere, {.protocol = "tcp", .ports = {8443}}, Verdict::kAccept,
                   "then accept");
  rules.input({.protocol = "tcp", .ports = {1935}}, Verdict::kAccept, "public");
  rules.input_from("consumers_db", consumers,
                   {.interface = "fw0", .protocol = "tcp", .ports = {5432}}, Verdict::kAccept,
                   "mesh");
  pb::FirewallSection section;
  section.set_ruleset(rules.text());
  const auto filter = make_nft_packet_filter();
  const auto applied = apply_firewall(section, *filter);
  ASSERT_TRUE(applied) << applied.error().text();
  const Fd sql = listener(5432), rtmp = listener(1935), web = listener(8443),
           other = listener(7000);
  ASSERT_TRUE(sql.valid() && rtmp.valid() && web.valid() && other.valid());

  EXPECT_EQ(from("192.0.2.2", "192.0.2.1", 1935), Attempt::kOpens) << "public";
  EXPECT_EQ(from("10.64.0.3", "10.64.0.1", 1935), Attempt::kOpens) << "public, over the mesh too";
  EXPECT_EQ(from("10.64.0.2", "10.64.0.1", 5432), Attempt::kOpens) << "a consumer over the mesh";
  EXPECT_EQ(from("10.64.0.3", "10.64.0.1", 5432), Attempt::kBlocked) << "no consumer";
  EXPECT_EQ(from("192.0.2.2", "192.0.2.1", 5432), Attempt::kBlocked) << "not over the mesh";
  EXPECT_EQ(from("192.0.2.2", "192.0.2.1", 8443), Attempt::kBlocked) << "a drop before the accept";
  EXPECT_EQ(from("10.64.0.3", "10.64.0.1", 8443), Attempt::kOpens) << "everybody else";
  EXPECT_EQ(from("192.0.2.2", "192.0.2.1", 7000), Attempt::kBlocked) << "nothing opens it";
  EXPECT_EQ(attempt("127.0.0.1", "127.0.0.1", 7000), Attempt::kOpens) << "loopback";
  const auto table = run_checked({.argv = {"nft", "list", "table", "inet", "frameworks"}});
  EXPECT_NE(table->find("tcp dport 5432 counter packets 1"), std::string::npos) << *table;
}

TEST_F(RealPacketFilter, WhatTheNodeItselfAsksForIsAnswered) {
  const auto filter = make_nft_packet_filter();
  ASSERT_TRUE(filter->replace(ruleset_opening(1935), "one"));
  outside_.resume();
  const Fd server = listener(9999);
  node_.resume();
  EXPECT_EQ(attempt("192.0.2.1", "192.0.2.2", 9999), Attempt::kOpens);
}

TEST_F(RealPacketFilter, LeavesOtherTablesAlone) {
  ASSERT_TRUE(run_checked(
      {.argv = {"nft", "-f", "-"}, .input = "table ip by_hand {\n chain c {\n }\n}\n"}));
  const auto filter = make_nft_packet_filter();
  ASSERT_TRUE(filter->replace(ruleset_opening(80), "one"));
  EXPECT_TRUE(run_checked({.argv = {"nft", "list", "table", "ip", "by_hand"}}));
  const auto refused = filter->replace("table inet frameworks\nflush ruleset\n", "two");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(*filter->mark(), "one");
}

}  // namespace
}  // namespace frameworks
