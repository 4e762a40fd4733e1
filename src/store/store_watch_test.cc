// Subscriptions to a store, and what its upkeep leaves of the past for them.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "store/store_fixture.h"

namespace frameworks {
namespace {

TEST_F(StoreTest, AWatcherIsPokedOnceUntilItLooks) {
  std::atomic<int> pokes = 0;
  auto watch = store_->subscribe(0, [&] { ++pokes; });
  ASSERT_TRUE(watch);
  write(put_tenant("a", "free"));
  write(put_tenant("b", "free"));
  EXPECT_EQ(pokes, 1);
  EXPECT_EQ(text_of(*(*watch)->next(100)), "1:a=free 2:b=free");
  EXPECT_TRUE((*watch)->next(100)->empty());
  write(put_tenant("c", "free"));
  EXPECT_EQ(pokes, 2);
  EXPECT_EQ(text_of(*(*watch)->next(100)), "3:c=free");
  watch->reset();
  write(put_tenant("d", "free"));
  EXPECT_EQ(pokes, 2);
}

TEST_F(StoreTest, ASlowWatcherIsServedFromTheLogThenToldToStartAgain) {
  open({.window = 3, .retain = 10, .compact_every = 1'000'000});
  auto watch = store_->subscribe(0, [] {});
  ASSERT_TRUE(watch);
  for (int i = 1; i <= 20; ++i) write(put_tenant("a", std::to_string(i)));
  const auto from_log = (*watch)->next(2);
  ASSERT_TRUE(from_log);
  EXPECT_EQ(text_of(*from_log), "1:a=1 2:a=2");
  ASSERT_TRUE(FakeLog(disk_).compact(10));
  const auto behind = (*watch)->next(2);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code(), Code::kOutOfRange);
  EXPECT_EQ(store_->subscribe(5, [] {}).error().code(), Code::kOutOfRange);
  EXPECT_EQ(store_->subscribe(21, [] {}).error().code(), Code::kOutOfRange);
  EXPECT_TRUE(store_->subscribe(10, [] {}));
}

TEST_F(StoreTest, AWatcherContinuesAfterARestartOfTheServer) {
  write(put_tenant("a", "free"));
  write(put_tenant("b", "free"));
  open({});
  auto watch = store_->subscribe(1, [] {});
  ASSERT_TRUE(watch);
  write(put_tenant("c", "free"));
  std::vector<Change> seen;
  while (true) {
    auto more = (*watch)->next(1);
    ASSERT_TRUE(more);
    if (more->empty()) break;
    seen.insert(seen.end(), more->begin(), more->end());
  }
  EXPECT_EQ(text_of(seen), "2:b=free 3:c=free");
}

TEST_F(StoreTest, UpkeepForgetsWhatIsOlderThanTheRetainedRevisions) {
  auto log = open_sqlite_log(":memory:");
  ASSERT_TRUE(log);
  store_ = Store::open(*std::move(log), clock_, {.window = 4, .retain = 20, .compact_every = 16})
               .value();
  // Upkeep runs on its own thread: write until it has been seen to work.
  Code code{};
  for (int i = 0; i < 100'000 && code != Code::kOutOfRange; ++i) {
    write(put_tenant("a", std::to_string(i)));
    const auto old = store_->subscribe(0, [] {});
    if (!old) code = old.error().code();
  }
  EXPECT_EQ(code, Code::kOutOfRange);
  EXPECT_TRUE(store_->subscribe(store_->revision() - 20, [] {}));
}

TEST_F(StoreTest, UpkeepComesEarlierWhereMessagesAreLarge) {
  auto log = open_sqlite_log(":memory:");
  ASSERT_TRUE(log);
  store_ = Store::open(*std::move(log), clock_,
                       {.window = 4, .retain = 20, .compact_every = 1'000'000})
               .value();
  Code code{};
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 1'000 && code != Code::kOutOfRange; ++i) {
    write(put_tenant("a", large + std::to_string(i)));
    const auto old = store_->subscribe(0, [] {});
    if (!old) code = old.error().code();
  }
  EXPECT_EQ(code, Code::kOutOfRange);
}

TEST_F(StoreTest, WhatASnapshotShowsCanBeContinuedFromAtOnce) {
  std::jthread writer([this](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) write(put_tenant("a", "p" + std::to_string(i)));
  });
  for (int i = 0; i < 20'000; ++i) {
    const auto subscription = store_->subscribe(now()->revision(), [] {});
    ASSERT_TRUE(subscription) << subscription.error().text();
  }
}

}  // namespace
}  // namespace frameworks
