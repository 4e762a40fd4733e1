#include "agent/media_traffic.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "agent/media_authority.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

constexpr const char* kShow = "call=update_publish&name=acme%2Bshow";

// As nginx-rtmp writes it, a line each where that helps.
std::string statistics(int64_t acme_out) {
  return "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n<rtmp><nginx_version>1.22.1</nginx_version>"
         "<bw_in>9000000</bw_in><bw_out>9000000</bw_out><server>\n"
         "<application>\n<name>live</name>\n<live>\n"
         "<stream>\n<name>acme+show</name>\n<time>9</time><bw_in>1000000</bw_in>\n"
         "<bytes_in>1</bytes_in>\n<bw_out>" +
         std::to_string(acme_out) +
         "</bw_out>\n</stream>\n"
         "<stream>\n<name>acme+other</name>\n<bw_in>500000</bw_in>\n<bw_out>0</bw_out>\n</stream>\n"
         "<stream>\n<name>globex+show</name>\n<bw_in>7</bw_in>\n<bw_out>0</bw_out>\n</stream>\n"
         "<stream>\n<name>nobody</name>\n<bw_in>7</bw_in>\n</stream>\n"
         "<nclients>3</nclients>\n</live>\n</application>\n</server>\n</rtmp>\n";
}

pb::TenancySection limited(int64_t mbps) {
  pb::TenancySection out;
  out.add_tenants()->set_tenant("acme");
  out.mutable_tenants(0)->mutable_limits()->set_bandwidth_mbps(mbps);
  out.add_tenants()->set_tenant("globex");
  return out;
}

TEST(MediaStatistics, AreSummedByTenant) {
  const std::map<std::string, int64_t> wanted{{"acme", 3'500'000}, {"globex", 7}};
  EXPECT_EQ(parse_media_statistics(statistics(2'000'000)), wanted);
}

TEST(MediaStatistics, NonsenseIsNobodys) {
  for (const char* xml : {"", "<stream>", "<stream><name>acme+a",
                          "<stream><name>+a</name></stream>", "<html><body>404</body></html>"})
    EXPECT_TRUE(parse_media_statistics(xml).empty()) << xml;
  // A number that is none, or below 0, counts nothing; one that is too large is cut.
  const auto of = [](const std::string& number) {
    return parse_media_statistics("<stream><name>acme+a</name><bw_in>" + number +
                                  "</bw_in></stream>")["acme"];
  };
  EXPECT_EQ(of("x"), 0);
  EXPECT_EQ(of("-5"), 0);
  EXPECT_GT(of("9223372036854775807"), 0);
}

RC_GTEST_PROP(MediaStatistics, SurviveWhateverIsSent, (const std::string& noise)) {
  for (const auto& [tenant, traffic] : parse_media_statistics("<stream>" + noise))
    RC_ASSERT(traffic >= 0);
}

TEST(Tenancy, AtItsLimitOfTrafficNothingOfATenantBegins) {
  Tenancy tenancy;
  tenancy.set(limited(3));
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow").allowed);
  tenancy.set_traffic({{"acme", 3'000'000}, {"globex", 90'000'000}});
  EXPECT_EQ(tenancy.may_publish("name=acme%2Bother").reason,
            "tenant acme has 3.0 Mbit/s here, its limit is 3");
  EXPECT_FALSE(tenancy.may_play("name=acme%2Bshow&clientid=1").allowed);
  EXPECT_TRUE(tenancy.may_publish("name=globex%2Bshow").allowed) << "it has no limit";
  tenancy.set_traffic({{"acme", 2'900'000}});
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bother").allowed);
}

TEST(Tenancy, AboveItOneEndsForEachTimeThatItWasMeasured) {
  Tenancy tenancy;
  tenancy.set(limited(3));
  for (const char* name : {"name=acme%2Ba", "name=acme%2Bb", "name=acme%2Bc"})
    EXPECT_TRUE(tenancy.may_publish(name).allowed);
  tenancy.set_traffic({{"acme", 5'000'000}});
  EXPECT_FALSE(tenancy.may_go_on("call=update_publish&name=acme%2Ba").allowed);
  EXPECT_TRUE(tenancy.may_go_on("call=update_publish&name=acme%2Bb").allowed);
  tenancy.set_traffic({{"acme", 3'400'000}});
  EXPECT_FALSE(tenancy.may_go_on("call=update_publish&name=acme%2Bb").allowed);
  tenancy.set_traffic({{"acme", 1'700'000}});
  EXPECT_TRUE(tenancy.may_go_on("call=update_publish&name=acme%2Bc").allowed);
}

// The media authority's own status stands in for the media server's statistics.
TEST(MediaTraffic, IsAskedForWhileSomethingRuns) {
  ManualClock clock;
  Tenancy tenancy(clock);
  tenancy.set(limited(3));
  std::atomic<int> asked{0};
  std::atomic<int64_t> out{9'000'000};
  const auto server = MediaAuthority::start("127.0.0.1:0", tenancy, [&] {
    ++asked;
    return statistics(out.load());
  });
  ASSERT_TRUE(server) << server.error().text();
  const MediaTraffic traffic("http://127.0.0.1:" + std::to_string((*server)->port()) + "/v1/status",
                             tenancy, clock);
  const auto becomes = [&](auto condition) {
    for (const auto end = system_clock().mono() + 30s; system_clock().mono() < end;) {
      clock.advance(MediaTraffic::kInterval);
      system_clock().sleep_for(5ms, {});
      (void)tenancy.may_go_on("call=update_publish&name=globex%2Bshow");
      if (condition()) return true;
    }
    return false;
  };
  clock.advance(MediaTraffic::kInterval);
  EXPECT_EQ(asked, 0) << "nothing runs";
  EXPECT_TRUE(becomes([&] { return !tenancy.may_publish("name=acme%2Bshow").allowed; }));
  EXPECT_GT(asked, 0);
  out = 0;
  EXPECT_TRUE(becomes([&] { return tenancy.may_go_on(kShow).allowed; }));
}

}  // namespace
}  // namespace frameworks
