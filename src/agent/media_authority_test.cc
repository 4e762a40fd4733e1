#include "agent/media_authority.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/socket.h>

#include "agent/ask.h"
#include "base/fd.h"

namespace frameworks {
namespace {

pb::TenancySection section() {
  pb::TenancySection out;
  out.add_tenants()->set_tenant("acme");
  auto& other = *out.add_tenants();
  other.set_tenant("late-payer");
  other.set_suspended(true);
  return out;
}

TEST(Tenancy, AllowsTheTenantsOfThePlanAndNobodyElse) {
  Tenancy tenancy;
  EXPECT_EQ(tenancy.may_publish("name=acme%2Bshow").reason, "this node has no plan yet");
  tenancy.set(section());
  EXPECT_TRUE(tenancy.may_publish("app=live&name=acme%2Bshow&type=live").allowed);
  EXPECT_TRUE(tenancy.may_publish("name=acme+show").allowed)
      << "not every media server escapes the plus";
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow&tenant=acme").allowed);
  EXPECT_EQ(tenancy.may_publish("name=late-payer%2Bshow").reason, "tenant late-payer is suspended");
  EXPECT_EQ(tenancy.may_publish("name=globex%2Bshow").reason,
            "the tenant has no place on this node");
}

TEST(Tenancy, RefusesWhatIsAmbiguous) {
  Tenancy tenancy;
  tenancy.set(section());
  for (const char* form : {"", "name=", "name=acme", "name=%2Bshow", "name=acme%2B", "name=acme%2",
                           "name=acme%zz%2Bshow", "tenant=acme", "name=globex%2Bshow&tenant=acme",
                           "name=globex%2Bshow&name=acme%2Bshow",
                           "name=acme%2Bshow&tenant=acme&tenant=acme", "NAME=acme%2Bshow"})
    EXPECT_FALSE(tenancy.may_publish(form).allowed) << form;
}

TEST(Tenancy, RefusesFromTheMomentOnThatTheGrantExpires) {
  ManualClock clock;
  Tenancy tenancy(clock);
  auto timed = section();
  timed.mutable_tenants(0)->mutable_expire_time()->set_seconds(
      std::chrono::duration_cast<std::chrono::seconds>(clock.wall().time_since_epoch()).count() +
      60);
  tenancy.set(timed);
  clock.advance(std::chrono::seconds(59));
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow").allowed);
  EXPECT_TRUE(tenancy.may_go_on("call=update_publish&name=acme%2Bshow").allowed);
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(tenancy.may_publish("name=acme%2Bshow").reason, "tenant acme's grant has expired");
  EXPECT_FALSE(tenancy.may_go_on("call=update_publish&name=acme%2Bshow").allowed);
  constexpr int64_t kYear9999 = 253'402'300'799;
  timed.mutable_tenants(0)->mutable_expire_time()->set_seconds(kYear9999);
  tenancy.set(timed);
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow").allowed);
}

TEST(Tenancy, CountsTheStreamsOfATenantThatHasALimit) {
  ManualClock clock;
  Tenancy tenancy(clock);
  auto limited = section();
  limited.mutable_tenants(0)->mutable_limits()->set_streams(2);
  tenancy.set(limited);
  const auto begins = [&](const std::string& stream) {
    return tenancy.may_publish("name=acme%2B" + stream).allowed;
  };
  EXPECT_TRUE(begins("one"));
  EXPECT_TRUE(begins("two"));
  EXPECT_TRUE(begins("two")) << "the same one, once more";
  EXPECT_FALSE(begins("three"));
  tenancy.ended("name=acme%2Bone");
  EXPECT_TRUE(begins("three"));
  // What is told of goes on counting; what nobody tells of any more has ended.
  clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(tenancy.may_go_on("name=acme%2Btwo").allowed);
  clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(begins("four"));
  EXPECT_FALSE(begins("five"));
  limited.mutable_tenants(0)->mutable_limits()->set_streams(0);
  tenancy.set(limited);
  EXPECT_TRUE(begins("five"));
}

TEST(Tenancy, CountsTheViewersOfATenantThatHasALimit) {
  ManualClock clock;
  Tenancy tenancy(clock);
  EXPECT_FALSE(tenancy.may_play("clientid=1&name=acme%2Bshow").allowed) << "no plan yet";
  auto limited = section();
  limited.mutable_tenants(0)->mutable_limits()->set_viewers(2);
  tenancy.set(limited);
  const auto plays = [&](const std::string& client) {
    return tenancy.may_play("call=play&clientid=" + client + "&name=acme%2Bshow&clientid=1")
        .allowed;
  };
  EXPECT_TRUE(plays("1"));
  EXPECT_TRUE(plays("2"));
  EXPECT_FALSE(plays("3")) << "what the player appends is not counted";
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow").allowed) << "streams are counted apart";
  tenancy.stopped_playing("clientid=1&name=acme%2Bshow");
  EXPECT_TRUE(plays("3"));
  clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(tenancy.may_go_on("call=update_play&clientid=3&name=acme%2Bshow").allowed);
  clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(plays("4"));
  EXPECT_FALSE(plays("5"));
  EXPECT_FALSE(tenancy.may_play("clientid=6&name=globex%2Bshow").allowed);
  EXPECT_FALSE(tenancy.may_play("clientid=6&name=late-payer%2Bshow").allowed);
}

TEST(Tenancy, CountsWhoFetchesFilesUntilTheyAreSilent) {
  ManualClock clock;
  Tenancy tenancy(clock);
  EXPECT_FALSE(tenancy.may_watch("acme+show", "10.0.0.1 player").allowed) << "no plan yet";
  auto limited = section();
  limited.mutable_tenants(0)->mutable_limits()->set_viewers(2);
  tenancy.set(limited);
  const auto watches = [&](const std::string& viewer) {
    return tenancy.may_watch("acme+show", viewer).allowed;
  };
  EXPECT_TRUE(watches("10.0.0.1 player"));
  EXPECT_TRUE(watches("10.0.0.2 player"));
  EXPECT_TRUE(watches("10.0.0.1 player")) << "the same one, once more";
  EXPECT_FALSE(watches("10.0.0.1 browser"));
  EXPECT_FALSE(tenancy.may_play("clientid=1&name=acme%2Bshow").allowed) << "viewers are counted together";
  clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(watches("10.0.0.1 player"));
  clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(watches("10.0.0.1 browser")) << "of the second nothing was heard for a minute";
  EXPECT_FALSE(watches("10.0.0.2 player"));
  tenancy.set_traffic({{"acme", {0, 5'000'000}}});
  limited.mutable_tenants(0)->mutable_limits()->set_bandwidth_mbps(4);
  tenancy.set(limited);
  EXPECT_FALSE(watches("10.0.0.1 player")) << "one has to go, and it asked first";
  EXPECT_TRUE(watches("10.0.0.1 browser"));
}

TEST(Tenancy, RefusesToShowWhatIsNoStreamOfATenantHere) {
  Tenancy tenancy;
  tenancy.set(section());
  for (const char* stream : {"", "acme", "+show", "acme+", "globex+show", "late-payer+show",
                             "acme+show&tenant=acme", "globex%2Bshow", "x=1", "acme+show&name=a"})
    EXPECT_FALSE(tenancy.may_watch(stream, "viewer").allowed) << stream;
  EXPECT_TRUE(tenancy.may_watch("acme+show", "").allowed);
}

TEST(Tenancy, WhatRunsGoesOnUnlessThePlanIsAgainstIt) {
  Tenancy tenancy;
  EXPECT_TRUE(tenancy.may_go_on("name=acme%2Bshow").allowed) << "no plan yet: an agent that starts";
  tenancy.set(section());
  EXPECT_TRUE(tenancy.may_go_on("name=acme%2Bshow").allowed);
  EXPECT_TRUE(tenancy.may_go_on("call=update_play&name=nothing of ours").allowed);
  EXPECT_FALSE(tenancy.may_go_on("app=live&call=update_play&name=late-payer%2Bshow").allowed);
  EXPECT_FALSE(
      tenancy.may_go_on("app=live&call=update_publish&name=late-payer%2Bshow&call=update_play")
          .allowed);
  EXPECT_FALSE(tenancy.may_go_on("name=late-payer%2Bshow").allowed);
  EXPECT_FALSE(tenancy.may_go_on("name=globex%2Bshow").allowed);
}

RC_GTEST_PROP(Tenancy, NoFormAllowsATenantThatHasNoPlaceHere, (const std::string& noise)) {
  Tenancy tenancy;
  tenancy.set(section());
  const std::string form = "name=globex%2Bshow&" + noise;
  RC_ASSERT(!tenancy.may_publish(form).allowed);
  (void)tenancy.may_publish(noise);  // whatever it is, it is survived
}

class MediaAuthorityTest : public testing::Test {
 protected:
  void SetUp() override {
    tenancy_.set(section());
    auto started = MediaAuthority::start("127.0.0.1:0", tenancy_,
                                         [] { return std::string("{\"node\": \"x\"}\n"); });
    ASSERT_TRUE(started) << started.error().text();
    authority_ = std::move(*started);
  }

  [[nodiscard]] Fd connected() const {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{10, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(authority_->port()));
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return fd;
  }

  // All that comes back until the other side closes.
  [[nodiscard]] std::string exchange(const std::string& bytes) const {
    const Fd fd = connected();
    (void)send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    shutdown(fd.get(), SHUT_WR);
    std::string out;
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
      out.append(buffer, static_cast<size_t>(n));
    return out;
  }

  // The status of nginx-rtmp's request with this form.
  [[nodiscard]] std::string publish(const std::string& form) const {
    return exchange(fmt::format("POST /v1/publish HTTP/1.0\r\nContent-Type: "
                                "application/x-www-form-urlencoded\r\n"
                                "Content-Length: {}\r\n\r\n{}",
                                form.size(), form))
        .substr(0, 12);
  }

  Tenancy tenancy_;
  std::unique_ptr<MediaAuthority> authority_;
};

TEST_F(MediaAuthorityTest, AnswersTheMediaServer) {
  EXPECT_EQ(publish("call=publish&app=live&name=acme%2Bshow"), "HTTP/1.0 200");
  EXPECT_EQ(publish("call=publish&app=live&name=globex%2Bshow"), "HTTP/1.0 403");
}

TEST_F(MediaAuthorityTest, EndsWhatRunsOfATenantThatIsSuspended) {
  const auto tell = [&](const std::string& path, const std::string& form) {
    return exchange(fmt::format("POST {} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}", path,
                                form.size(), form))
        .substr(0, 12);
  };
  EXPECT_EQ(tell("/v1/publish-update", "name=acme%2Bshow"), "HTTP/1.0 200");
  EXPECT_EQ(tell("/v1/publish-update", "name=late-payer%2Bshow"), "HTTP/1.0 403");
  EXPECT_EQ(tell("/v1/publish-done", "name=acme%2Bshow"), "HTTP/1.0 200");
  EXPECT_EQ(tell("/v1/play", "clientid=1&name=acme%2Bshow"), "HTTP/1.0 200");
  EXPECT_EQ(tell("/v1/play", "clientid=1&name=globex%2Bshow"), "HTTP/1.0 403");
  EXPECT_EQ(tell("/v1/play-done", "clientid=1&name=acme%2Bshow"), "HTTP/1.0 200");
  EXPECT_EQ(tell("/v1/publish-nonsense", "name=acme%2Bshow"), "HTTP/1.0 404");
}

TEST_F(MediaAuthorityTest, SaysWhoMayFetchAPlaylist) {
  const auto watch = [&](const std::string& stream) {
    return exchange(fmt::format("GET /v1/watch HTTP/1.1\r\nX-Stream: {}\r\nX-Viewer: 10.0.0.1 "
                                "player\r\n\r\n",
                                stream))
        .substr(0, 12);
  };
  EXPECT_EQ(watch("acme+show"), "HTTP/1.1 204");
  EXPECT_EQ(watch("late-payer+show"), "HTTP/1.1 403");
  EXPECT_EQ(watch("nothing"), "HTTP/1.1 403");
  EXPECT_TRUE(exchange("GET /v1/watch HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 403"));
}

TEST_F(MediaAuthorityTest, TellsTheAgentsStatus) {
  EXPECT_EQ(*ask_agent(fmt::format("127.0.0.1:{}", authority_->port())), "{\"node\": \"x\"}\n");
}

TEST_F(MediaAuthorityTest, OtherPathsAndVerbsAreErrors) {
  EXPECT_TRUE(exchange("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(exchange("GET /v1/publish HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
}

TEST_F(MediaAuthorityTest, OversizedRequestsAreRefused) {
  EXPECT_TRUE(exchange("POST /v1/publish HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
                  .starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(exchange("GET /v1/status HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n")
                  .starts_with("HTTP/1.1 413"));
}

RC_GTEST_FIXTURE_PROP(MediaAuthorityTest, SurvivesWhateverIsSent,
                      (const std::vector<uint8_t>& bytes)) {
  SetUp();
  (void)exchange(std::string(bytes.begin(), bytes.end()));
  (void)exchange("POST /v1/publish HTTP/1.1\r\n" + std::string(bytes.begin(), bytes.end()) +
                 "\r\n\r\n");
  RC_ASSERT(publish("name=acme%2Bshow") == "HTTP/1.0 200");
}

TEST_F(MediaAuthorityTest, ConnectionsThatSayNothingHoldNobodyUp) {
  std::vector<Fd> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(connected());
  EXPECT_EQ(publish("name=acme%2Bshow"), "HTTP/1.0 200");
}

TEST_F(MediaAuthorityTest, AnAddressThatIsTakenIsAnError) {
  const auto second = MediaAuthority::start(fmt::format("127.0.0.1:{}", authority_->port()),
                                            tenancy_, [] { return ""; });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace frameworks
