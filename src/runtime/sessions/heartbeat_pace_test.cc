#include "runtime/sessions/heartbeat_pace.h"

#include <gtest/gtest.h>

#include "runtime/sessions/node_session.h"

namespace frameworks {
namespace {

using std::chrono::seconds;

TEST(HeartbeatPace, AThousandNodesTellEachSecondAndMoreDoSoMoreRarely) {
  HeartbeatPace pace{seconds(1)};
  EXPECT_FALSE(pace.update(0));
  EXPECT_FALSE(pace.update(1000));
  EXPECT_TRUE(pace.update(1001));
  EXPECT_EQ(pace.interval(), seconds(2));
  EXPECT_TRUE(pace.update(10'000));
  EXPECT_EQ(pace.interval(), seconds(10));
  EXPECT_TRUE(pace.update(1'000'000));
  EXPECT_EQ(pace.interval(), seconds(60));
}

TEST(HeartbeatPace, ItDoesNotGoToAndFro) {
  HeartbeatPace pace{seconds(1)};
  ASSERT_TRUE(pace.update(1001));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(pace.update(i % 2 == 0 ? 990 : 1010));
  EXPECT_TRUE(pace.update(800));
  EXPECT_EQ(pace.interval(), seconds(1));
}

TEST(HeartbeatPace, AServerThatWasToldALongerIntervalNeverHasAShorterOne) {
  HeartbeatPace pace{seconds(30)};
  EXPECT_FALSE(pace.update(20'000));
  EXPECT_TRUE(pace.update(50'000));
  EXPECT_EQ(pace.interval(), seconds(60));
  HeartbeatPace rare{seconds(90)};
  EXPECT_FALSE(rare.update(1'000'000));
  EXPECT_EQ(rare.interval(), seconds(90));
}

TEST(NodeSession, OfIntervalsTheNewestIsToldAndOfOtherMessagesABoundedNumberWaits) {
  NodeSession session;
  EXPECT_FALSE(session.push({})) << "before hello";
  session.hello({}, seconds(1));
  ASSERT_TRUE(session.next({})->has_welcome());
  session.set_interval(seconds(2));
  session.set_interval(seconds(3));
  const auto told = session.next({});
  ASSERT_TRUE(told && told->has_settings());
  EXPECT_EQ(told->settings().heartbeat_interval().seconds(), 3);
  EXPECT_FALSE(session.next({}));
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    pb::ServerMessage message;
    message.mutable_probe()->set_id(i);
    taken += session.push(std::move(message)) ? 1 : 0;
  }
  EXPECT_EQ(taken, 64);
}

}  // namespace
}  // namespace frameworks
