#include "base/read_section.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <utility>

namespace frameworks {
namespace {

// Says itself whether it is still there.
class Thing {
 public:
  explicit Thing(std::atomic<int>& there) : there_(there) { ++there_; }
  ~Thing() {
    whole_ = false;
    --there_;
  }
  [[nodiscard]] bool is_whole() const { return whole_; }

 private:
  std::atomic<int>& there_;
  std::atomic<bool> whole_ = true;
};

TEST(Retired, KeepsAFewAndFreesThemTogether) {
  std::atomic<int> there = 0;
  {
    Retired retired;
    for (size_t i = 1; i < Retired::kMost; ++i) retired.add(std::make_shared<Thing>(there));
    EXPECT_EQ(there, Retired::kMost - 1);
    retired.add(nullptr);
    EXPECT_EQ(there, Retired::kMost - 1);
    retired.add(std::make_shared<Thing>(there));
    EXPECT_EQ(there, 0);
    retired.add(std::make_shared<Thing>(there));
  }
  EXPECT_EQ(there, 0);
}

TEST(Retired, FreesNothingThatASectionMaySee) {
  std::atomic<int> there = 0;
  std::atomic<bool> all = false;
  Retired retired;
  std::jthread writer;
  {
    const ReadSection section;
    const ReadSection nested;
    writer = std::jthread([&] {
      for (size_t i = 1; i < Retired::kMost; ++i) retired.add(std::make_shared<Thing>(there));
      auto last = std::make_shared<Thing>(there);
      all = true;
      retired.add(std::move(last));
    });
    while (!all) std::this_thread::yield();
    for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
    EXPECT_EQ(there, Retired::kMost);
  }
  writer.join();
  EXPECT_EQ(there, 0);
}

TEST(RetiredDeathTest, IsNotForWhoReads) {
  Retired retired;
  const ReadSection section;
  EXPECT_DEATH(retired.add(std::make_shared<int>(1)), "read_ongoing");
}

// Readers follow a pointer while a writer exchanges it: what they see is there as long as they
// look.
TEST(ReadSection, SeesOnlyWhatIsThere) {
  std::atomic<int> there = 0;
  std::atomic<int> gone = 0;
  std::atomic<bool> stop = false;
  Retired retired;
  auto owner = std::make_shared<const Thing>(there);
  std::atomic<const Thing*> newest = owner.get();
  {
    std::array<std::jthread, 3> readers;
    for (auto& reader : readers)
      reader = std::jthread([&] {
        while (!stop) {
          std::this_thread::yield();  // not within a section: the writer waits for those
          const ReadSection section;
          const Thing* const thing = newest.load(std::memory_order_acquire);
          for (int i = 0; i < 10; ++i)
            if (!thing->is_whole()) ++gone;
        }
      });
    for (int i = 0; i < 20'000; ++i) {
      auto next = std::make_shared<const Thing>(there);
      newest.store(next.get(), std::memory_order_release);
      retired.add(std::exchange(owner, std::move(next)));
    }
    stop = true;
  }
  EXPECT_EQ(gone, 0);
  EXPECT_LE(there, Retired::kMost + 1);
}

}  // namespace
}  // namespace frameworks
