#include "hostd/wan_emulator.h"

#include <gtest/gtest.h>

namespace frameworks::hostd {
namespace {

using std::chrono::milliseconds;

constexpr uint8_t kBroadcast = 0xff;

std::vector<uint8_t> frame(uint8_t to, uint8_t from, size_t size = 100) {
  std::vector<uint8_t> out(size, 0);
  if (to == kBroadcast) std::fill_n(out.begin(), 6, kBroadcast);
  if (to != kBroadcast) out[0] = 2;
  out[5] = to;
  out[6] = 2;
  out[11] = from;
  return out;
}

class Wan : public testing::Test {
 protected:
  static constexpr MonoTime kStart{std::chrono::hours(1)};

  void links(std::vector<WanLink> links) { wan_.configure(links); }
  void send(const char* region, const std::vector<uint8_t>& data, Duration after = {}) {
    wan_.receive(region, data, kStart + after);
  }
  // Regions of what is due by then, in order.
  std::vector<std::string> due(Duration after) {
    std::vector<std::string> out;
    while (const auto delivery = wan_.take(kStart + after)) out.push_back(delivery->region);
    return out;
  }

  WanEmulator wan_{7};
};

using Regions = std::vector<std::string>;

TEST_F(Wan, DelaysByTheSumOfBothLinks) {
  links({{.region = "eu", .delay = milliseconds(20)}, {.region = "us", .delay = milliseconds(30)}});
  send("eu", frame(2, 1));
  EXPECT_EQ(wan_.next_due(), kStart + milliseconds(50));
  EXPECT_EQ(due(milliseconds(49)), Regions{});
  EXPECT_EQ(due(milliseconds(50)), Regions{"us"});
  EXPECT_EQ(wan_.bytes_waiting(), 0U);
}

TEST_F(Wan, FloodsWhatItDoesNotKnowAndLearnsFromAnswers) {
  links({{.region = "eu"}, {.region = "us"}, {.region = "ap"}});
  send("eu", frame(2, 1));
  EXPECT_EQ(due({}), (Regions{"ap", "us"}));
  send("us", frame(1, 2));
  EXPECT_EQ(due({}), Regions{"eu"});
  send("eu", frame(2, 1));
  EXPECT_EQ(due({}), Regions{"us"});
  send("eu", frame(kBroadcast, 1));
  EXPECT_EQ(due({}).size(), 2U);
  send("us", frame(1, 2), WanEmulator::kAddressAge * 2);  // eu's address is forgotten by then
  EXPECT_EQ(due(WanEmulator::kAddressAge * 2).size(), 2U);
}

TEST_F(Wan, KeepsWhatBelongsToTheRegionInTheRegion) {
  links({{.region = "eu"}, {.region = "us"}});
  send("eu", frame(9, 1));
  due({});
  send("eu", frame(1, 3));
  EXPECT_EQ(due({}), Regions{});
}

TEST_F(Wan, ALinkThatIsDownPassesNothingNotEvenWhatWasUnderWay) {
  links({{.region = "eu"}, {.region = "us", .delay = milliseconds(20)}});
  send("eu", frame(2, 1));
  links({{.region = "eu"}, {.region = "us", .delay = milliseconds(20), .down = true}});
  send("eu", frame(2, 1));
  send("us", frame(1, 2));
  EXPECT_EQ(due(std::chrono::hours(1)), Regions{});
}

TEST_F(Wan, LosesTheShareItIsToldTo) {
  links({{.region = "eu", .loss = 0.1}, {.region = "us", .loss = 0.1}});
  for (int i = 0; i < 10'000; ++i) send("eu", frame(2, 1));
  const auto arrived = static_cast<double>(due({}).size());
  EXPECT_NEAR(arrived, 8100, 200);
}

TEST_F(Wan, JitterKeepsTheOrderAndTheBounds) {
  links({{.region = "eu", .delay = milliseconds(20), .jitter = milliseconds(5)}, {.region = "us"}});
  for (uint8_t i = 0; i < 200; ++i) {
    auto data = frame(2, 1);
    data[20] = i;
    send("eu", data, milliseconds(i));
  }
  uint8_t next = 0;
  while (const auto at = wan_.next_due()) {
    const auto delivery = wan_.take(*at);
    ASSERT_TRUE(delivery);
    EXPECT_EQ(delivery->frame[20], next);
    EXPECT_GE(*at - kStart, milliseconds(next + 15));
    EXPECT_LE(*at - kStart, milliseconds(next + 26));
    ++next;
  }
  EXPECT_EQ(next, 200);
}

TEST_F(Wan, ALimitedLinkQueuesAndThenDrops) {
  // 1 Mbit/s: 1250 bytes take 10 ms, so 200 ms of queue are about 21 frames.
  links({{.region = "eu", .rate_mbps = 1}, {.region = "us"}});
  for (int i = 0; i < 100; ++i) send("eu", frame(2, 1, 1250));
  EXPECT_EQ(due(milliseconds(9)).size(), 0U);
  EXPECT_EQ(due(milliseconds(100)).size(), 10U);
  EXPECT_EQ(due(std::chrono::hours(1)).size(), 11U);
}

TEST_F(Wan, IgnoresFramesThatAreNoneAndRegionsThatAreNone) {
  links({{.region = "eu"}, {.region = "us"}});
  send("eu", std::vector<uint8_t>(13, 0));
  send("nowhere", frame(2, 1));
  EXPECT_EQ(due({}), Regions{});
}

}  // namespace
}  // namespace frameworks::hostd
