// What every WireGuard must do, the fake and the real one. The real one runs in a network namespace
// of the test's own, and is skipped where none can be made.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/network_namespace.h"
#include "base/process.h"
#include "base/text.h"
#include "config/mesh/fake_wireguard.h"

namespace frameworks {
namespace {

constexpr uint16_t kPort = 9000;

sockaddr_in at(const char* address) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(kPort);
  inet_pton(AF_INET, address, &out.sin_addr);
  return out;
}

Fd listening_on(const char* address) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in here = at(address);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
  EXPECT_EQ(listen(fd.get(), 1), 0);
  return fd;
}

bool can_connect(const char* address) {
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_in there = at(address);
  (void)connect(fd.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there);
  pollfd state{fd.get(), POLLOUT, 0};
  return poll(&state, 1, 10'000) == 1 && state.revents == POLLOUT;
}

enum class Side { kFake, kReal };

std::string key(const std::string& seed) {
  std::string raw = sha256(seed);
  raw[0] = static_cast<char>(raw[0] & 0xf8);
  raw[31] = static_cast<char>((raw[31] & 0x7f) | 0x40);
  return base64_encode(raw);
}

std::string public_key(const std::string& private_key) {
  auto out = run_checked({.argv = {"wg", "pubkey"}, .input = private_key + "\n"});
  return out ? std::string(trim(*out)) : key(private_key);
}

WireguardConfig two_peers() {
  return {.private_key = key("self"),
          .listen_port = 51821,
          .addresses = {"10.64.1.1/32", "fd00:1::1/128"},
          .peers = {{public_key(key("a")), "192.0.2.1:51820", {"10.64.2.0/24", "10.64.1.2/32"}, 0},
                    {public_key(key("b")), "192.0.2.2:51820", {"fd00:2::/64"}, 25}}};
}

bool is_installed(const char* program) {
  const auto found = run({.argv = {"sh", "-c", fmt::format("command -v {}", program)}});
  return found && found->exit_code == 0;
}

std::string reason_to_skip() {
  if (geteuid() != 0) return "needs root";
  for (const char* program : {"wg", "ip"})
    if (!is_installed(program)) return fmt::format("needs the program {}", program);
  if (access("/dev/net/tun", R_OK | W_OK) != 0) return "needs /dev/net/tun";
  return is_installed("wireguard-go") ? "" : "needs wireguard-go";
}

class WireguardContract : public testing::TestWithParam<Side> {
 protected:
  void SetUp() override {
    if (GetParam() == Side::kFake) {
      wireguard_ = std::make_unique<FakeWireguard>();
      return;
    }
    if (const std::string reason = reason_to_skip(); !reason.empty()) GTEST_SKIP() << reason;
    if (!namespace_.enter()) GTEST_SKIP() << "network namespaces cannot be made here";
    // The socket of wireguard-go lies in a folder that namespaces share.
    interface_ = fmt::format("fwt{}", getpid());
    wireguard_ = make_wireguard(interface_);
  }

  void TearDown() override {
    // Without its interface wireguard-go ends by itself.
    if (!interface_.empty()) (void)run({.argv = {"ip", "link", "delete", "dev", interface_}});
  }

  NetworkNamespace namespace_;
  std::string interface_;
  std::unique_ptr<Wireguard> wireguard_;
};

TEST_P(WireguardContract, IsAsItWasSet) {
  ASSERT_EQ(*wireguard_->set(two_peers()), Effect::kChanged);
  const auto seen = wireguard_->observe();
  ASSERT_TRUE(seen) << seen.error().text();
  EXPECT_TRUE(seen->exists);
  EXPECT_TRUE(seen->config == normalized(two_peers()));
  EXPECT_EQ(seen->routes, routed_prefixes(two_peers()));
}

TEST_P(WireguardContract, TheSameAgainChangesNothing) {
  ASSERT_TRUE(wireguard_->set(two_peers()));
  auto reordered = two_peers();
  std::swap(reordered.peers[0], reordered.peers[1]);
  EXPECT_EQ(*wireguard_->set(reordered), Effect::kNothing);
}

TEST_P(WireguardContract, WhatIsNoLongerWantedGoes) {
  ASSERT_TRUE(wireguard_->set(two_peers()));
  auto fewer = two_peers();
  fewer.peers.pop_back();
  fewer.peers[0].allowed_ips = {"10.64.3.0/24"};
  fewer.addresses = {"10.64.1.9/32"};
  fewer.listen_port = 51822;
  EXPECT_EQ(*wireguard_->set(fewer), Effect::kChanged);
  const auto seen = wireguard_->observe();
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->config == normalized(fewer));
  EXPECT_EQ(seen->routes, std::vector<std::string>{"10.64.3.0/24"});
}

TEST_P(WireguardContract, ABadKeyIsRefusedAndNothingChanges) {
  ASSERT_TRUE(wireguard_->set(two_peers()));
  auto bad = two_peers();
  bad.peers[0].public_key = "no key";
  const auto refused = wireguard_->set(bad);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(wireguard_->observe()->config == normalized(two_peers()));
}

TEST_P(WireguardContract, NothingIsThereBeforeTheFirstSet) {
  const auto seen = wireguard_->observe();
  ASSERT_TRUE(seen);
  EXPECT_FALSE(seen->exists);
}

INSTANTIATE_TEST_SUITE_P(Fake, WireguardContract, testing::Values(Side::kFake));
INSTANTIATE_TEST_SUITE_P(Real, WireguardContract, testing::Values(Side::kReal));

// What only the real one can show.
class RealWireguard : public WireguardContract {};

TEST_P(RealWireguard, IsFoundAgainByAnotherProcessOfTheAgent) {
  ASSERT_TRUE(wireguard_->set(two_peers()));
  const unsigned index = if_nametoindex(interface_.c_str());
  auto later = make_wireguard(interface_);
  EXPECT_EQ(*later->set(two_peers()), Effect::kNothing);
  EXPECT_EQ(later->backend(), wireguard_->backend());
  EXPECT_EQ(if_nametoindex(interface_.c_str()), index);
}

TEST_P(RealWireguard, BringsBackAnInterfaceThatWasTakenAway) {
  ASSERT_TRUE(wireguard_->set(two_peers()));
  ASSERT_TRUE(run_checked({.argv = {"ip", "link", "delete", "dev", interface_}}));
  EXPECT_EQ(*wireguard_->set(two_peers()), Effect::kChanged);
  EXPECT_TRUE(wireguard_->observe()->config == normalized(two_peers()));
}

TEST_P(RealWireguard, LeavesAnInterfaceThatIsNotOursAlone) {
  ASSERT_TRUE(run_checked({.argv = {"ip", "link", "add", "dev", interface_, "type", "bridge"}}));
  const auto refused = wireguard_->set(two_peers());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(if_nametoindex(interface_.c_str()), 0u);
}

TEST_P(RealWireguard, RoutesThatAreNotOursStay) {
  ASSERT_TRUE(wireguard_->set(two_peers()));
  ASSERT_TRUE(run_checked({.argv = {"ip", "route", "add", "10.77.0.0/16", "dev", interface_}}));
  auto fewer = two_peers();
  fewer.peers.clear();
  ASSERT_TRUE(wireguard_->set(fewer));
  EXPECT_NE(run_checked({.argv = {"ip", "route", "show", "dev", interface_}})->find("10.77.0.0/16"),
            std::string::npos);
}

// Two hosts, joined by a pair of virtual interfaces, reach each other inside the mesh.
TEST_P(RealWireguard, TwoNodesReachEachOtherThroughIt) {
  NetworkNamespace other;
  ASSERT_TRUE(other.enter());
  const std::string far = interface_ + "b";
  const auto ip = [](std::vector<std::string> words) {
    words.insert(words.begin(), "ip");
    const auto done = run_checked({.argv = words});
    ASSERT_TRUE(done) << done.error().text();
  };
  namespace_.resume();
  ip({"link", "add", "va", "type", "veth", "peer", "name", "vb"});
  ip({"link", "set", "vb", "netns", other.path()});
  ip({"address", "add", "192.0.2.1/24", "dev", "va"});
  ip({"link", "set", "va", "up"});
  auto here = two_peers();
  here.peers = {{public_key(key("far")), "192.0.2.2:51822", {"10.64.1.2/32"}, 0}};
  const auto near_set = wireguard_->set(here);
  ASSERT_TRUE(near_set) << near_set.error().text();
  other.resume();
  ip({"address", "add", "192.0.2.2/24", "dev", "vb"});
  ip({"link", "set", "vb", "up"});
  auto far_wireguard = make_wireguard(far);
  const auto far_set = far_wireguard->set(
      {.private_key = key("far"),
       .listen_port = 51822,
       .addresses = {"10.64.1.2/32"},
       .peers = {{public_key(key("self")), "192.0.2.1:51821", {"10.64.1.1/32"}, 0}}});
  ASSERT_TRUE(far_set) << far_set.error().text();
  namespace_.resume();
  const Fd server = listening_on("10.64.1.1");
  other.resume();
  EXPECT_TRUE(can_connect("10.64.1.1"));
  (void)run({.argv = {"ip", "link", "delete", "dev", far}});
  namespace_.resume();
}

// The peer's endpoint sees what is sent to it, and never answers.
TEST_P(RealWireguard, TheEndWithTheHigherAddressBeginsAnewWithoutWaitingForItsTimer) {
  ASSERT_TRUE(run_checked({.argv = {"ip", "link", "set", "lo", "up"}}));
  // Handshakes that are begun until none was for three seconds. WireGuard itself begins another one
  // after five.
  const auto begun = [&](const std::string& own, const std::vector<std::string>& peers) {
    const Fd endpoint(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in here = at("127.0.0.1");
    here.sin_port = 0;
    socklen_t size = sizeof here;
    EXPECT_EQ(bind(endpoint.get(), reinterpret_cast<sockaddr*>(&here), size), 0);
    EXPECT_EQ(getsockname(endpoint.get(), reinterpret_cast<sockaddr*>(&here), &size), 0);
    WireguardConfig config{
        .private_key = key("self"), .listen_port = 51821, .addresses = {own + "/32"}, .peers = {}};
    const std::string there = fmt::format("127.0.0.1:{}", ntohs(here.sin_port));
    for (const std::string& peer : peers)
      config.peers.push_back({public_key(key(peer)), there, {peer + "/32"}, 0});
    EXPECT_TRUE(wireguard_->set(config));
    int count = 0;
    pollfd readable{endpoint.get(), POLLIN, 0};
    char packet[256];
    constexpr ssize_t kInitiation = 148;  // bytes; WireGuard's protocol, 5.4.2
    while (poll(&readable, 1, 3'000) == 1)
      count += recv(endpoint.get(), packet, sizeof packet, 0) == kInitiation ? 1 : 0;
    EXPECT_TRUE(wireguard_->observe()->config == normalized(config));
    return count;
  };
  EXPECT_EQ(begun("10.64.1.1", {"10.64.1.2", "10.64.1.3"}), 2);
  // The first, and after 0.7, 2.1 and 4.9 s.
  EXPECT_EQ(begun("10.64.1.9", {"10.64.1.4", "10.64.1.5"}), 8);
}

INSTANTIATE_TEST_SUITE_P(Real, RealWireguard, testing::Values(Side::kReal));

}  // namespace
}  // namespace frameworks
