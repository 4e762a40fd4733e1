#include "config/mesh/mesh_driver.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "config/mesh/fake_wireguard.h"
#include "config/mesh/names_driver.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

class MeshDriver : public testing::Test {
 protected:
  void SetUp() override {
    section_.add_addresses("10.64.1.1/32");
    section_.set_listen_port(51820);
    auto& peer = *section_.add_peers();
    peer.set_node("edge-1");
    peer.set_public_key(base64_encode(sha256("edge-1")));
    peer.set_endpoint("10.99.1.2:51820");
    peer.add_allowed_ips("10.64.1.2/32");
  }
  void write_sysctl(const char* file, const char* value) {
    fs::create_directories((directory_.path() / file).parent_path());
    ASSERT_TRUE(write_file(directory_.path() / file, value));
  }
  std::string sysctl(const char* file) {
    return read_file(directory_.path() / file).value_or("none");
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  pb::MeshSection section_;
  FakeWireguard wireguard_;
};

TEST_F(MeshDriver, SetsTheWholePlanWithTheNodesOwnKey) {
  ASSERT_TRUE(apply_mesh(section_, "own key", wireguard_, directory_.path()));
  const auto seen = wireguard_.observe();
  EXPECT_EQ(seen->config.private_key, "own key");
  EXPECT_EQ(seen->config.addresses, std::vector<std::string>{"10.64.1.1/32"});
  ASSERT_EQ(seen->config.peers.size(), 1u);
  EXPECT_EQ(seen->config.peers[0].endpoint, "10.99.1.2:51820");
}

TEST_F(MeshDriver, SwitchesForwardingOnOnlyWhereThePlanSaysSo) {
  write_sysctl("net/ipv4/ip_forward", "0\n");
  write_sysctl("net/ipv6/conf/all/forwarding", "0\n");
  ASSERT_TRUE(apply_mesh(section_, "k", wireguard_, directory_.path()));
  EXPECT_EQ(sysctl("net/ipv4/ip_forward"), "0\n");
  section_.set_forward(true);
  ASSERT_TRUE(apply_mesh(section_, "k", wireguard_, directory_.path()));
  EXPECT_EQ(sysctl("net/ipv4/ip_forward"), "1\n");
  EXPECT_EQ(sysctl("net/ipv6/conf/all/forwarding"), "0\n") << "the plan has no IPv6 address";
  section_.add_addresses("fd00::1/128");
  ASSERT_TRUE(apply_mesh(section_, "k", wireguard_, directory_.path()));
  EXPECT_EQ(sysctl("net/ipv6/conf/all/forwarding"), "1\n");
}

// A folder in the file's place can neither be read nor written, for root too.
TEST_F(MeshDriver, ForwardingThatCannotBeSwitchedOnIsAnErrorAndTheMeshIsUpAllTheSame) {
  fs::create_directories(directory_.path() / "net/ipv4/ip_forward");
  section_.set_forward(true);
  EXPECT_FALSE(apply_mesh(section_, "k", wireguard_, directory_.path()));
  EXPECT_TRUE(wireguard_.observe()->exists);
}

TEST_F(MeshDriver, AFailureOfWireguardIsTold) {
  wireguard_.fail_next("no such device");
  const auto failed = apply_mesh(section_, "k", wireguard_, directory_.path());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "no such device");
}

class NamesDriver : public testing::Test {
 protected:
  void add(const char* address, std::vector<std::string> names) {
    auto& record = *section_.add_records();
    record.set_address(address);
    for (auto& name : names) record.add_names(name);
  }
  void write_hosts(const std::string& content) { ASSERT_TRUE(write_file(hosts_, content)); }
  std::string hosts() { return read_file(hosts_).value_or("none"); }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  fs::path hosts_ = directory_.path() / "hosts";
  pb::NamesSection section_;
};

constexpr const char* kBlock =
    "# BEGIN frameworks mesh (written by frameworks-agent)\n"
    "10.64.1.1 core-1 core-1.mesh\n"
    "fd00:1::1 core-1 core-1.mesh\n"
    "# END frameworks mesh\n";

TEST_F(NamesDriver, AppendsItsBlockAndLeavesTheRestAsItIs) {
  write_hosts("127.0.0.1 localhost\n# by hand\n::1 ip6-localhost");
  add("10.64.1.1", {"core-1", "core-1.mesh"});
  add("fd00:1::1", {"core-1", "core-1.mesh"});
  ASSERT_TRUE(apply_names(section_, hosts_));
  EXPECT_EQ(hosts(), std::string("127.0.0.1 localhost\n# by hand\n::1 ip6-localhost\n") + kBlock);
}

TEST_F(NamesDriver, ReplacesItsBlockWhereverItIsAndTheSameAgainWritesNothing) {
  write_hosts(std::string("a\n") +
              "# BEGIN frameworks mesh (written by frameworks-agent)\n1.2.3.4 old\n"
              "# END frameworks mesh\nb\n");
  add("10.64.1.1", {"core-1", "core-1.mesh"});
  add("fd00:1::1", {"core-1", "core-1.mesh"});
  ASSERT_TRUE(apply_names(section_, hosts_));
  EXPECT_EQ(hosts(), std::string("a\nb\n") + kBlock);
  struct stat before {
  }, after{};
  stat(hosts_.c_str(), &before);
  ASSERT_TRUE(apply_names(section_, hosts_));
  stat(hosts_.c_str(), &after);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

TEST_F(NamesDriver, AnEmptyPlanTakesTheBlockAway) {
  write_hosts(std::string("a\n") + kBlock);
  ASSERT_TRUE(apply_names(section_, hosts_));
  EXPECT_EQ(hosts(), "a\n");
}

TEST_F(NamesDriver, ABlockWithoutItsEndClaimsNothingButItsFirstLine) {
  write_hosts("# BEGIN frameworks mesh (written by frameworks-agent)\n10.0.0.9 by-hand\n");
  ASSERT_TRUE(apply_names(section_, hosts_));
  EXPECT_EQ(hosts(), "10.0.0.9 by-hand\n");
}

TEST_F(NamesDriver, NamesThatAreNoNamesAreRefused) {
  write_hosts("a\n");
  add("10.64.1.1", {"evil\n6.6.6.6 bank.example"});
  const auto refused = apply_names(section_, hosts_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(hosts(), "a\n");
}

TEST_F(NamesDriver, KeepsTheFilesMode) {
  write_hosts("a\n");
  chmod(hosts_.c_str(), 0640);
  add("10.64.1.1", {"core-1"});
  ASSERT_TRUE(apply_names(section_, hosts_));
  struct stat info {};
  stat(hosts_.c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777u, 0640u);
}

}  // namespace
}  // namespace frameworks
