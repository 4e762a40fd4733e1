#include "control/store_follower.h"

#include <gtest/gtest.h>

#include <thread>

#include "frameworks/v1/tenant.pb.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

class StoreFollowerTest : public ::testing::Test {
 protected:
  void write(const std::string& tenant) {
    ASSERT_TRUE(store_->write("test", [&](Transaction& transaction) -> Status {
      pb::Tenant row;
      row.mutable_metadata()->set_name(tenant);
      transaction.put(std::move(row));
      return {};
    }));
  }

  ManualClock clock_;
  std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
  std::unique_ptr<Store> store_ =
      Store::open(std::make_unique<FakeLog>(disk_), clock_,
                  {.window = 3, .retain = 1000, .compact_every = 1'000'000})
          .value();
  std::string seen_;
  StoreFollower follower_{*store_, "test",
                          [this](const Snapshot& snapshot) {
                            seen_ += fmt::format("[{}]", snapshot.count(kind_of<pb::Tenant>()));
                          },
                          [this](const Change& change) { seen_ += " " + change.key.name; }};
};

TEST_F(StoreFollowerTest, BeginsWithASnapshotAndTakesEachChangeAfterItOnce) {
  write("a");
  ASSERT_TRUE(follower_.start());
  write("b");
  write("c");
  follower_.catch_up();
  follower_.catch_up();
  EXPECT_EQ(seen_, "[1] b c");
}

TEST_F(StoreFollowerTest, BeginsAgainWhereTheLogWasCut) {
  ASSERT_TRUE(follower_.start());
  for (int i = 0; i < 20; ++i) write("t" + std::to_string(i));
  ASSERT_TRUE(FakeLog(disk_).compact(10));
  follower_.catch_up();
  EXPECT_EQ(seen_, "[0][20]");
  write("z");
  follower_.catch_up();
  EXPECT_EQ(seen_, "[0][20] z");
}

TEST_F(StoreFollowerTest, AChangeEndsTheWaitAlsoWhenItCameBefore) {
  ASSERT_TRUE(follower_.start());
  follower_.catch_up();
  write("a");
  EXPECT_TRUE(follower_.wait(clock_, 1h, {}));
  follower_.catch_up();
  std::jthread writer([this] { write("b"); });
  EXPECT_TRUE(follower_.wait(clock_, 1h, {}));
  follower_.catch_up();
  EXPECT_EQ(seen_, "[0] a b");
}

TEST_F(StoreFollowerTest, WaitsNoLongerThanItIsToldAndStops) {
  ASSERT_TRUE(follower_.start());
  follower_.catch_up();
  EXPECT_TRUE(follower_.wait(clock_, 0s, {})) << "nothing is new, and the time is over";
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(follower_.wait(clock_, 1h, stop.get_token()));
  EXPECT_FALSE(follower_.wait(clock_, 1h, stop.get_token())) << "it was stopped before";
}

}  // namespace
}  // namespace frameworks
