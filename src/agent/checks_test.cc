#include "agent/checks.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>

namespace frameworks {
namespace {

TEST(CheckState, TellsTheFirstVerdictAndThenOnlyChanges) {
  CheckState state(1, 2);
  EXPECT_FALSE(state.known());
  EXPECT_TRUE(state.count({true, "up"}));
  EXPECT_FALSE(state.count({true, "up"}));
  EXPECT_FALSE(state.count({false, "one failure is none"}));
  EXPECT_FALSE(state.count({true, "up"}));
  EXPECT_FALSE(state.count({false, "first"}));
  EXPECT_TRUE(state.count({false, "second"}));
  EXPECT_FALSE(state.healthy());
  EXPECT_EQ(state.reason(), "second");
  EXPECT_TRUE(state.count({true, "back"}));
}

TEST(CheckState, RisesOnlyAfterSoManySuccessesInARow) {
  CheckState state(3, 1);
  EXPECT_TRUE(state.count({false, "down"}));
  EXPECT_FALSE(state.count({true, ""}));
  EXPECT_FALSE(state.count({true, ""}));
  EXPECT_FALSE(state.count({false, ""}));
  EXPECT_FALSE(state.count({true, ""}));
  EXPECT_FALSE(state.count({true, ""}));
  EXPECT_TRUE(state.count({true, ""}));
}

// Listens on loopback and answers every connection with a text.
class Listener {
 public:
  explicit Listener(std::string answer = "")
      : answer_(std::move(answer)), fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at);
    listen(fd_.get(), 16);
    socklen_t size = sizeof at;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    target = fmt::format("127.0.0.1:{}", ntohs(at.sin_port));
    thread_ = std::jthread([this] {
      for (;;) {
        const Fd connection(accept(fd_.get(), nullptr, nullptr));
        if (!connection.valid()) return;
        (void)send(connection.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
        char ignored[256];
        (void)recv(connection.get(), ignored, sizeof ignored, MSG_DONTWAIT);
      }
    });
  }
  ~Listener() { close(); }
  void close() { shutdown(fd_.get(), SHUT_RDWR); }
  std::string target;

 private:
  std::string answer_;
  Fd fd_;
  std::jthread thread_;
};

class ChecksTest : public testing::Test {
 protected:
  void set(const std::string& target, pb::CheckType type, const std::string& path = "") {
    pb::ChecksSection section;
    auto& instance = *section.add_instances();
    instance.set_instance("web.edge-1");
    auto& probe = *instance.add_probes();
    probe.set_name("main");
    probe.set_type(type);
    probe.set_target(target);
    probe.set_path(path);
    probe.mutable_interval()->set_nanos(20'000'000);
    probe.mutable_timeout()->set_nanos(500'000'000);
    checks_.set(section);
  }
  // The n-th report; waits for it.
  pb::CheckReport report(size_t n) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return reports_.size() > n; }));
    return reports_.size() > n ? reports_[n] : pb::CheckReport();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<pb::CheckReport> reports_;
  Checks checks_{make_network_prober(), system_clock(), [this](const pb::CheckReport& report) {
                   {
                     const std::lock_guard lock(mutex_);
                     reports_.push_back(report);
                   }
                   changed_.notify_all();
                 }};
};

TEST_F(ChecksTest, ATcpCheckFollowsItsServiceDownAndTellsWhy) {
  Listener listener;
  set(listener.target, pb::CHECK_TYPE_TCP);
  EXPECT_TRUE(report(0).healthy());
  listener.close();
  const auto down = report(1);
  EXPECT_FALSE(down.healthy());
  EXPECT_EQ(down.reason(), fmt::format("connect {}: Connection refused", listener.target));
  ASSERT_EQ(checks_.states().size(), 1u);
  EXPECT_FALSE(checks_.states()[0].healthy());
}

TEST_F(ChecksTest, AnHttpCheckReadsTheStatus) {
  Listener good("HTTP/1.1 204 No Content\r\n\r\n"), bad("HTTP/1.1 503 Unavailable\r\n\r\n"),
      strange("SSH-2.0-x\r\n");
  set(good.target, pb::CHECK_TYPE_HTTP, "/healthz");
  EXPECT_TRUE(report(0).healthy());
  set(bad.target, pb::CHECK_TYPE_HTTP, "/healthz");
  EXPECT_EQ(report(1).reason(), fmt::format("GET {}/healthz: status 503", bad.target));
  set(strange.target, pb::CHECK_TYPE_HTTP, "/");
  EXPECT_EQ(report(2).reason(), fmt::format("GET {}/: no HTTP answer", strange.target));
}

TEST_F(ChecksTest, ATargetThatIsNoneFailsInsteadOfBeingIgnored) {
  set("localhost", pb::CHECK_TYPE_TCP);
  EXPECT_EQ(report(0).reason(), "target \"localhost\": not address:port");
}

TEST_F(ChecksTest, AnUnchangedCheckKeepsItsStateWhenThePlanIsSetAgain) {
  Listener listener;
  set(listener.target, pb::CHECK_TYPE_TCP);
  EXPECT_TRUE(report(0).healthy());
  set(listener.target, pb::CHECK_TYPE_TCP);
  listener.close();
  EXPECT_FALSE(report(1).healthy()) << "the next report is the change, not the first verdict again";
}

}  // namespace
}  // namespace frameworks
