#include "control/reconciler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace frameworks {
namespace {

using namespace std::chrono_literals;

// Lets real time pass until the condition holds; `step` is called between looks.
template <typename Condition, typename Step>
bool eventually(Condition condition, Step step) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    step();
    (void)system_clock().sleep_for(100us, {});  // the others need the clock, too
  }
  return false;
}
template <typename Condition>
bool eventually(Condition condition) {
  return eventually(condition, [] {});
}

using Again = Result<std::optional<Duration>>;
constexpr auto kDone = std::optional<Duration>();

TEST(Reconciler, ReconcilesEachKeyAndForgetsIt) {
  ManualClock clock;
  std::mutex mutex;
  std::multiset<std::string> seen;
  Reconciler reconciler(clock, {.workers = 3},
                        [&](const std::string& key, std::stop_token) -> Again {
                          std::lock_guard lock(mutex);
                          seen.insert(key);
                          return kDone;
                        });
  for (const char* key : {"a", "b", "c"}) reconciler.enqueue(key);
  reconciler.start();
  EXPECT_TRUE(eventually([&] { return reconciler.size() == 0; }));
  EXPECT_EQ(seen, (std::multiset<std::string>{"a", "b", "c"}));
}

TEST(Reconciler, KeysThatWaitCoalesce) {
  ManualClock clock;
  std::atomic<int> runs = 0;
  Reconciler reconciler(clock, {}, [&](const std::string&, std::stop_token) -> Again {
    ++runs;
    return kDone;
  });
  for (int i = 0; i < 100; ++i) reconciler.enqueue("a");
  reconciler.start();
  EXPECT_TRUE(eventually([&] { return reconciler.size() == 0; }));
  EXPECT_EQ(runs, 1);
}

TEST(Reconciler, AKeyThatComesWhileItRunsRunsOnceMoreAndNeverTwiceAtOnce) {
  ManualClock clock;
  std::atomic<int> runs = 0;
  std::atomic<int> at_once = 0;
  std::atomic<int> most = 0;
  std::promise<void> entered;
  std::promise<void> leave;
  auto may_leave = leave.get_future().share();
  Reconciler reconciler(clock, {.workers = 4}, [&](const std::string&, std::stop_token) -> Again {
    most = std::max<int>(most, ++at_once);
    if (++runs == 1) {
      entered.set_value();
      may_leave.wait();
    }
    --at_once;
    return kDone;
  });
  reconciler.start();
  reconciler.enqueue("a");
  entered.get_future().wait();
  for (int i = 0; i < 50; ++i) reconciler.enqueue("a");
  leave.set_value();
  EXPECT_TRUE(eventually([&] { return reconciler.size() == 0; }));
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(most, 1);
}

TEST(Reconciler, ComesBackAfterTheAskedTimeAndNotBefore) {
  ManualClock clock;
  std::atomic<int> runs = 0;
  Reconciler reconciler(clock, {}, [&](const std::string&, std::stop_token) -> Again {
    if (++runs == 2) return kDone;
    return std::optional<Duration>(10s);
  });
  reconciler.start();
  reconciler.enqueue("a");
  ASSERT_TRUE(eventually([&] { return runs == 1; }));
  const MonoTime began = clock.mono();
  ASSERT_TRUE(eventually([&] { return runs == 2; }, [&] { clock.advance(100ms); }));
  EXPECT_GE(clock.mono() - began, 10s);
}

// The times between tries, as a manual clock saw them.
std::vector<Duration> retries_with(uint64_t seed, int count) {
  ManualClock clock;
  std::mutex mutex;
  std::vector<MonoTime> tries;
  Reconciler reconciler(clock, {.first_retry = 1s, .last_retry = 16s, .seed = seed},
                        [&](const std::string&, std::stop_token) -> Again {
                          std::lock_guard lock(mutex);
                          tries.push_back(clock.mono());
                          return Error(Code::kUnavailable, "not yet");
                        });
  reconciler.start();
  reconciler.enqueue("a");
  const auto enough = [&] {
    std::lock_guard lock(mutex);
    return static_cast<int>(tries.size()) > count;
  };
  EXPECT_TRUE(eventually(enough, [&] { clock.advance(100ms); }));
  reconciler.stop();
  std::vector<Duration> out;
  for (size_t i = 1; i < tries.size(); ++i) out.push_back(tries[i] - tries[i - 1]);
  return out;
}

TEST(Reconciler, FailuresBackOffWithJitterUpToALimit) {
  const std::vector<Duration> waits = retries_with(7, 7);
  Duration full = 1s;
  for (const Duration& wait : waits) {
    EXPECT_GE(wait, full / 2);
    full = std::min<Duration>(full * 2, 16s);
  }
  EXPECT_GE(waits.back(), 8s);
}

TEST(Reconciler, ASuccessForgetsEarlierFailures) {
  ManualClock clock;
  std::mutex mutex;
  std::vector<MonoTime> tries;
  Reconciler reconciler(clock, {.first_retry = 1s},
                        [&](const std::string&, std::stop_token) -> Again {
                          std::lock_guard lock(mutex);
                          tries.push_back(clock.mono());
                          if (tries.size() % 3 == 0) return std::optional<Duration>(100s);
                          return Error(Code::kUnavailable, "not yet");
                        });
  reconciler.start();
  reconciler.enqueue("a");
  const auto five = [&] {
    std::lock_guard lock(mutex);
    return tries.size() >= 5;
  };
  ASSERT_TRUE(eventually(five, [&] { clock.advance(500ms); }));
  reconciler.stop();
  EXPECT_GE(tries[3] - tries[2], 100s);
  EXPECT_LT(tries[4] - tries[3], 90s) << "the first retry again, not the third";
}

TEST(Reconciler, AnEventOvertakesARetryThatWaits) {
  ManualClock clock;
  std::atomic<int> runs = 0;
  Reconciler reconciler(clock,
                        {.first_retry = std::chrono::hours(1), .last_retry = std::chrono::hours(1)},
                        [&](const std::string&, std::stop_token) -> Again {
                          if (++runs == 2) return kDone;
                          return Error(Code::kUnavailable, "not yet");
                        });
  reconciler.start();
  reconciler.enqueue("a");
  ASSERT_TRUE(eventually([&] { return runs == 1; }));
  reconciler.enqueue("a");
  EXPECT_TRUE(eventually([&] { return runs == 2 && reconciler.size() == 0; }));
}

TEST(Reconciler, StoppingTellsTheReconcileAndWaitsForIt) {
  ManualClock clock;
  std::promise<void> entered;
  std::atomic<bool> left = false;
  {
    Reconciler reconciler(clock, {}, [&](const std::string&, std::stop_token stop) -> Again {
      entered.set_value();
      (void)clock.sleep_for(std::chrono::hours(1), stop);
      left = true;
      return kDone;
    });
    reconciler.start();
    reconciler.enqueue("a");
    entered.get_future().wait();
  }
  EXPECT_TRUE(left);
}

}  // namespace
}  // namespace frameworks
