#include "agent/media_traffic.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/socket.h>

#include "agent/media_authority.h"
#include "base/fd.h"

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
  const std::map<std::string, TenantTraffic> wanted{{"acme", {1'500'000, 2'000'000}},
                                                    {"globex", {7, 0}}};
  EXPECT_EQ(parse_media_statistics(statistics(2'000'000)), wanted);
}

TEST(MediaStatistics, NonsenseIsNobodys) {
  for (const char* xml : {"", "<stream>", "<stream><name>acme+a",
                          "<stream><name>+a</name></stream>", "<html><body>404</body></html>"})
    EXPECT_TRUE(parse_media_statistics(xml).empty()) << xml;
  // A number that is none, or below 0, counts nothing; one that is too large is cut.
  const auto of = [](const std::string& number) {
    return parse_media_statistics("<stream><name>acme+a</name><bw_in>" + number +
                                  "</bw_in></stream>")["acme"]
        .in;
  };
  EXPECT_EQ(of("x"), 0);
  EXPECT_EQ(of("-5"), 0);
  EXPECT_GT(of("9223372036854775807"), 0);
}

RC_GTEST_PROP(MediaStatistics, SurviveWhateverIsSent, (const std::string& noise)) {
  for (const auto& [tenant, traffic] : parse_media_statistics("<stream>" + noise))
    RC_ASSERT(traffic.in >= 0 && traffic.out >= 0);
}

TEST(Tenancy, AtItsLimitOfTrafficNothingOfATenantBegins) {
  Tenancy tenancy;
  tenancy.set(limited(3));
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow").allowed);
  tenancy.set_traffic({{"acme", {1'000'000, 2'000'000}}, {"globex", {90'000'000, 0}}});
  EXPECT_EQ(tenancy.may_publish("name=acme%2Bother").reason,
            "tenant acme has 3.0 Mbit/s here, its limit is 3");
  EXPECT_FALSE(tenancy.may_play("name=acme%2Bshow&clientid=1").allowed);
  EXPECT_FALSE(tenancy.may_watch("acme+show", "somebody").allowed);
  EXPECT_TRUE(tenancy.may_publish("name=globex%2Bshow").allowed) << "it has no limit";
  tenancy.set_traffic({{"acme", {1'000'000, 1'900'000}}});
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bother").allowed);
}

TEST(Tenancy, AboveItAsManyViewersEndAsHaveTheExcess) {
  ManualClock clock;
  Tenancy tenancy(clock);
  tenancy.set(limited(3));
  EXPECT_TRUE(tenancy.may_publish("name=acme%2Bshow").allowed);
  const auto watches = [&](const char* viewer) {
    return tenancy.may_watch("acme+show", viewer).allowed;
  };
  const auto plays = [&](const std::string& client) {
    return tenancy.may_go_on("call=update_play&name=acme%2Bshow&clientid=" + client).allowed;
  };
  EXPECT_TRUE(watches("a") && watches("b"));
  EXPECT_TRUE(tenancy.may_play("name=acme%2Bshow&clientid=1").allowed);
  EXPECT_TRUE(tenancy.may_play("name=acme%2Bshow&clientid=2").allowed);
  const std::map<std::string, TenantTraffic> much{{"acme", {500'000, 4'000'000}}};
  tenancy.set_traffic(much);
  EXPECT_TRUE(tenancy.may_go_on(kShow).allowed);
  EXPECT_FALSE(watches("a"));  // leaves 3.5
  EXPECT_FALSE(plays("1"));    // leaves 2.5
  EXPECT_TRUE(watches("b"));
  // What ended is in what is measured for a while: no reason to end more, nor to begin anew.
  tenancy.set_traffic(much);
  EXPECT_TRUE(plays("2"));
  EXPECT_FALSE(watches("a"));
  EXPECT_EQ(tenancy.may_publish("name=acme%2Bother").reason,
            "tenant acme was above its limit of 3 Mbit/s here within the last 10 s");
  clock.advance(Tenancy::kAveraged);
  EXPECT_TRUE(watches("a"));
  tenancy.set_traffic(much);
  EXPECT_FALSE(watches("a"));
}

TEST(Tenancy, AStreamEndsWhereStreamsAloneAreTooMuch) {
  Tenancy tenancy;
  tenancy.set(limited(3));
  for (const char* name : {"name=acme%2Ba", "name=acme%2Bb"})
    EXPECT_TRUE(tenancy.may_publish(name).allowed);
  tenancy.set_traffic({{"acme", {2'900'000, 90'000'000}}});
  EXPECT_TRUE(tenancy.may_go_on("call=update_publish&name=acme%2Ba").allowed);
  tenancy.set_traffic({{"acme", {3'200'000, 0}}});
  EXPECT_FALSE(tenancy.may_go_on("call=update_publish&name=acme%2Ba").allowed);
  EXPECT_TRUE(tenancy.may_go_on("call=update_publish&name=acme%2Bb").allowed);
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
                             nullptr, tenancy, clock);
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

// Datagrams as nginx sends them.
class SentFiles : public testing::Test {
 protected:
  void send(const std::string& text) const {
    const std::string datagram = "<190>Nov 30 10:00:00 hls: " + text;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(log_->port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(sendto(fd_.get(), datagram.data(), datagram.size(), 0,
                     reinterpret_cast<sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(datagram.size()));
  }
  std::unique_ptr<MediaLog> log_ = std::move(*MediaLog::start("127.0.0.1:0"));
  Fd fd_{socket(AF_INET, SOCK_DGRAM, 0)};
};

TEST_F(SentFiles, AreSummedByTenant) {
  send("200 1000 /hls/acme+show-1.ts");
  send("206 24 /hls/acme+other.m3u8");
  send("404 300 /hls/globex+show-1.ts");
  send("200 7 /hls/globex+show-2.ts");
  send("200 1 /hls/last+x.ts");
  std::map<std::string, int64_t> sum;
  for (int i = 0; i < 2'000 && sum.count("last") == 0; ++i) {
    for (const auto& [name, bytes] : log_->take()) sum[name] += bytes;
    system_clock().sleep_for(5ms, {});
  }
  const std::map<std::string, int64_t> wanted{{"acme", 1'024}, {"globex", 7}, {"last", 1}};
  EXPECT_EQ(sum, wanted);
  EXPECT_TRUE(log_->take().empty());
}

TEST(SentFile, NonsenseCountsNothing) {
  for (const char* text :
       {"", "200", "200 ", "200 5", "200 5 ", "200 x /hls/acme+a", "200 -5 /hls/acme+a",
        "200 5 acme+a", "200 5 /hls/acme", "200 5 /hls/+a", "200 5 /acme+a/b", "2000 5 /acme+a",
        "301 5 /acme+a", "200 99999999999999999999 /acme+a", "200 1000000000001 /acme+a"})
    EXPECT_FALSE(parse_sent_file(std::string("<190>Nov 30 10:00:00 hls: ") + text)) << text;
  EXPECT_FALSE(parse_sent_file("200 5 /hls/acme+a")) << "no header";
  EXPECT_FALSE(parse_sent_file("x: 200 5 /hls/" + std::string(64, 'a') + "+a"));
  EXPECT_TRUE(parse_sent_file("x: 200 5 /hls/" + std::string(63, 'a') + "+a"));
}

RC_GTEST_PROP(SentFile, SurvivesWhateverIsSent, (const std::string& noise)) {
  for (const std::string& text : {noise, ": 200 " + noise, ": 200 5 /" + noise})
    if (const auto sent = parse_sent_file(text))
      RC_ASSERT(sent->bytes >= 0 && !sent->tenant.empty());
}

TEST_F(SentFiles, AnAddressThatIsTakenIsNamed) {
  const std::string address = "127.0.0.1:" + std::to_string(log_->port());
  const auto second = MediaLog::start(address);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
  EXPECT_NE(second.error().message().find(address), std::string::npos) << second.error().message();
  EXPECT_FALSE(MediaLog::start("nowhere"));
}

TEST_F(SentFiles, CountForTheLimit) {
  ManualClock clock;
  Tenancy tenancy(clock);
  tenancy.set(limited(3));
  const MediaTraffic traffic("", log_.get(), tenancy, clock);
  EXPECT_TRUE(tenancy.may_watch("acme+show", "one").allowed);
  bool refused = false;
  for (const auto end = system_clock().mono() + 30s; !refused && system_clock().mono() < end;) {
    send("200 1900000 /hls/acme+show-1.ts");  // 3.04 Mbit/s
    system_clock().sleep_for(10ms, {});
    clock.advance(MediaTraffic::kInterval);
    system_clock().sleep_for(10ms, {});
    refused = !tenancy.may_publish("name=acme%2Bother").allowed;
  }
  EXPECT_TRUE(refused);
  EXPECT_FALSE(tenancy.may_watch("acme+show", "one").allowed);
}

}  // namespace
}  // namespace frameworks
