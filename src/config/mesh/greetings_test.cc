#include "config/mesh/greetings.h"

#include <gtest/gtest.h>

#include <set>

namespace frameworks {
namespace {

using namespace std::chrono_literals;

constexpr uint32_t kLow = 0x0a400101;  // 10.64.1.1

WireguardPeer peer(const std::string& key, const std::string& address) {
  return {key, "192.0.2.1:51820", {"10.65.0.0/16", address + "/32"}, 0};
}

WireguardConfig node(const std::string& address, std::vector<WireguardPeer> peers = {}) {
  return {"secret", 51820, {address + "/32"}, std::move(peers)};
}

// What was done until `until`, as "ms key" and "ms key anew", where `without` have no session.
std::vector<std::string> told(Greetings& greetings, MonoTime begin, Duration until,
                              const std::set<std::string>& without) {
  std::vector<std::string> out;
  while (const auto next = greetings.next()) {
    if (*next - begin > until) break;
    const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(*next - begin).count();
    for (const Greeting& greeting : greetings.take(*next, without))
      out.push_back(std::to_string(at) + " " + greeting.peer.public_key +
                    (greeting.anew ? " anew" : ""));
  }
  return out;
}

using Told = std::vector<std::string>;

TEST(Greetings, TheEndWithTheHigherAddressBeginsAndBeginsAnewUntilThereIsASession) {
  Greetings greetings;
  const MonoTime begin{};
  greetings.update(node("10.64.1.2"), node("10.64.1.2", {peer("a", "10.64.1.1")}), begin);
  EXPECT_EQ(told(greetings, begin, 1s, {"a"}), (Told{"0 a", "700 a anew"}));
  EXPECT_EQ(told(greetings, begin, 1h, {"a"}), (Told{"2100 a anew", "4900 a anew"}));
  EXPECT_FALSE(greetings.next());
}

TEST(Greetings, TheOtherEndBeginsOnceWhenItHasHeardNothing) {
  Greetings greetings;
  const MonoTime begin{};
  const auto wanted = node("10.64.1.1", {peer("a", "10.64.1.2"), peer("b", "10.64.1.3")});
  greetings.update(node("10.64.1.1"), wanted, begin);
  EXPECT_EQ(told(greetings, begin, 1h, {"a"}), Told{"1050 a"});
  EXPECT_FALSE(greetings.next());
}

// As far apart as a handshake takes, however far apart the ends are, up to 350 ms there and back.
TEST(Greetings, TheTwoEndsNeverBeginAtNearlyTheSameTime) {
  for (const auto look : Greetings::kLooks) {
    const auto apart =
        look > Greetings::kOther ? look - Greetings::kOther : Greetings::kOther - look;
    EXPECT_GE(apart, 350ms) << look.count();
  }
}

TEST(Greetings, WhoHasASessionIsLeftAlone) {
  Greetings greetings;
  const MonoTime begin{};
  greetings.update(node("10.64.1.2"), node("10.64.1.2", {peer("a", "10.64.1.1")}), begin);
  EXPECT_EQ(told(greetings, begin, 1ms, {"a"}), Told{"0 a"});
  EXPECT_EQ(told(greetings, begin, 1h, {}), Told{});
  EXPECT_FALSE(greetings.next());
}

// However often something is set, for instance while a fleet grows.
TEST(Greetings, WhoWaitsGoesOnWaitingWhenMoreIsSet) {
  Greetings greetings;
  const MonoTime begin{};
  auto one = node("10.64.1.2", {peer("a", "10.64.1.1")});
  greetings.update(node("10.64.1.2"), one, begin);
  EXPECT_EQ(told(greetings, begin, 1ms, {"a"}), Told{"0 a"});
  auto two = one;
  two.peers[0].endpoint = "192.0.2.9:51820";
  two.peers.push_back(peer("b", "10.64.1.3"));
  greetings.update(one, two, begin + 600ms);
  EXPECT_EQ(told(greetings, begin, 1s, {"a"}), Told{"700 a anew"});
  const auto due = greetings.take(begin + 2100ms, {"a", "b"});
  ASSERT_EQ(due.size(), 2u);
  EXPECT_EQ(due[0].peer, two.peers[0]);
  EXPECT_EQ(due[0].address, kLow);
  EXPECT_EQ(due[1].peer, two.peers[1]);
}

TEST(Greetings, WhichEndBeginsIsDecidedAgainWhenAnAddressChanges) {
  Greetings greetings;
  const MonoTime begin{};
  const auto low = node("10.64.1.1", {peer("a", "10.64.1.2")});
  greetings.update(node("10.64.1.1"), low, begin);
  greetings.update(low, node("10.64.1.3", low.peers), begin + 500ms);
  EXPECT_EQ(told(greetings, begin, 1s, {"a"}), (Told{"0 a", "700 a anew"}));
}

TEST(Greetings, WhoIsTakenAwayIsForgotten) {
  Greetings greetings;
  const MonoTime begin{};
  const auto one = node("10.64.1.2", {peer("a", "10.64.1.1")});
  greetings.update(node("10.64.1.2"), one, begin);
  greetings.update(one, node("10.64.1.2"), begin);
  EXPECT_FALSE(greetings.next());
}

TEST(Greetings, WhoWasThereBeforeOrHasNoHostsAddressIsNotGreeted) {
  Greetings greetings;
  const auto known = node("10.64.1.2", {peer("a", "10.64.1.1")});
  greetings.update(known, known, {});
  EXPECT_FALSE(greetings.next());
  greetings.update(known, node("10.64.1.2", {{"b", "", {"10.65.0.0/16", "fd00::1/128"}, 0}}), {});
  EXPECT_FALSE(greetings.next());
}

}  // namespace
}  // namespace frameworks
