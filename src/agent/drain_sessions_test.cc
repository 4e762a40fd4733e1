#include "agent/drain_sessions.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>

#include "agent/media_authority.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

pb::ChecksSection asking(const std::string& where) {
  pb::ChecksSection section;
  auto& instance = *section.add_instances();
  instance.set_instance("media.eu-1");
  instance.set_sessions(where);
  return section;
}

pb::TenancySection acme() {
  pb::TenancySection section;
  section.add_tenants()->set_tenant("acme");
  return section;
}

TEST(Sessions, AreANumberOrJsonWithOne) {
  EXPECT_EQ(parse_sessions("3\n"), 3);
  EXPECT_EQ(parse_sessions("0"), 0);
  EXPECT_EQ(parse_sessions("{\"sessions\": 12}"), 12);
  EXPECT_EQ(parse_sessions("{\"uptime\": 7, \"sessions\":0, \"x\": 1}"), 0);
  for (const char* bad :
       {"", "many", "-1", "3.5", "{}", "{\"sessions\": \"3\"}", "{\"sessions\": -2}",
        "{\"sessions\"}", "99999999999999999999", "<html>404</html>"})
    EXPECT_EQ(parse_sessions(bad), std::nullopt) << bad;
}

TEST(DrainSessions, TheAgentCountsTheStreamsThatItWasToldOf) {
  ManualClock clock;
  Tenancy tenancy(clock);
  tenancy.set(acme());
  DrainSessions sessions(tenancy, clock);
  EXPECT_TRUE(sessions.counts().empty());
  sessions.set(asking("agent"));
  // An agent that has just started has not been told of all of them.
  EXPECT_EQ(sessions.counts().at("media.eu-1"), -1);
  clock.advance(Tenancy::kLearning);
  EXPECT_EQ(sessions.counts().at("media.eu-1"), 0);
  EXPECT_TRUE(tenancy.may_go_on("call=update_publish&name=acme%2Bshow").allowed);
  EXPECT_EQ(sessions.counts().at("media.eu-1"), 1);
  tenancy.ended("name=acme%2Bshow");
  EXPECT_EQ(sessions.counts().at("media.eu-1"), 0);
}

TEST(DrainSessions, AStreamOfWhichNothingIsHeardHasEnded) {
  ManualClock clock;
  Tenancy tenancy(clock);
  tenancy.set(acme());
  DrainSessions sessions(tenancy, clock);
  sessions.set(asking("agent"));
  clock.advance(Tenancy::kLearning);
  (void)tenancy.may_go_on("call=update_publish&name=acme%2Bshow");
  clock.advance(Tenancy::kSilence + 1s);
  EXPECT_EQ(sessions.counts().at("media.eu-1"), 0);
}

TEST(DrainSessions, NoStreamBeginsWhileTheyAreWaitedForAndThoseThatRunGoOn) {
  ManualClock clock;
  Tenancy tenancy(clock);
  tenancy.set(acme());
  DrainSessions sessions(tenancy, clock);
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow").allowed);
  sessions.set(asking("agent"));
  EXPECT_EQ(tenancy.may_publish("name=acme%2Bother").reason,
            "this node is being drained: ask for another");
  EXPECT_TRUE(tenancy.may_go_on("call=update_publish&name=acme%2Bshow").allowed);
  sessions.set({});
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bother").allowed);
}

// The media authority's own status stands in for a service that answers over HTTP.
TEST(DrainSessions, AServiceIsAskedOverHttp) {
  Tenancy tenancy;
  std::atomic<int> left{4};
  const auto service = MediaAuthority::start("127.0.0.1:0", tenancy, [&] {
    return "{\"sessions\": " + std::to_string(left.load()) + "}";
  });
  ASSERT_TRUE(service) << service.error().text();
  const std::string url = "http://127.0.0.1:" + std::to_string((*service)->port()) + "/v1/status";
  DrainSessions sessions(tenancy, system_clock());
  sessions.set(asking(url));
  const auto becomes = [&](int64_t wanted) {
    for (const auto end = system_clock().mono() + 30s; system_clock().mono() < end;) {
      if (sessions.counts().at("media.eu-1") == wanted) return true;
      system_clock().sleep_for(5ms, {});
    }
    return false;
  };
  EXPECT_TRUE(becomes(4));
  left = 0;
  EXPECT_TRUE(becomes(0));
  // Of another service nothing is known at first.
  sessions.set(asking("http://127.0.0.1:1/"));
  EXPECT_EQ(sessions.counts().at("media.eu-1"), -1);
  EXPECT_FALSE(ask_http("http://127.0.0.1:1/"));
  EXPECT_FALSE(ask_http("ftp://127.0.0.1/"));
  EXPECT_FALSE(ask_http("http://127.0.0.1"));
}

}  // namespace
}  // namespace frameworks
