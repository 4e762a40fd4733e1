#include "runtime/tenants/context_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace frameworks {
namespace {

using Cache = ContextCache<uint64_t>;

// 0: nothing.
uint64_t found_in(const Cache& cache, uint64_t hash) {
  const ReadSection section;
  const uint64_t* const found = cache.find(section, hash);
  return found == nullptr ? 0 : *found;
}

void ask(Cache& cache, uint64_t hash, int& missed) {
  if (found_in(cache, hash) == hash) return;
  ++missed;
  cache.put(hash, std::make_shared<const uint64_t>(hash));
}

TEST(ContextCache, AsManyAsItMayHoldNearlyAllHaveRoom) {
  constexpr int kNames = 4'096;
  std::mt19937_64 random(7);
  std::vector<uint64_t> names(kNames);
  for (auto& name : names) name = random();
  Cache cache(2 * kNames);
  int missed = 0;
  for (const uint64_t name : names) ask(cache, name, missed);
  EXPECT_EQ(missed, kNames);
  missed = 0;
  for (int round = 0; round < 10; ++round)
    for (const uint64_t name : names) ask(cache, name, missed);
  EXPECT_LT(missed, kNames / 100);
}

// Many more than it may hold, in any order: each search ends, and what was just put is there.
TEST(ContextCache, OfManyMoreEachSearchEnds) {
  for (const size_t entries : {1U, 16U, 256U, 1'024U}) {
    Cache cache(entries);
    std::mt19937_64 random(11);
    std::vector<uint64_t> names(64 * entries);
    for (auto& name : names) name = random();
    int missed = 0;
    for (int i = 0; i < 100'000; ++i) {
      const uint64_t name = names[random() % names.size()];
      ask(cache, name, missed);
      ASSERT_EQ(found_in(cache, name), name);
    }
    EXPECT_GT(missed, 80'000);
  }
}

// A run of names that all begin in the same line.
TEST(ContextCache, NamesOfOneLineTakeEachOthersPlaces) {
  Cache cache(256);
  int missed = 0;
  for (uint64_t tag = 1; tag < 1'000; ++tag) ask(cache, tag, missed);
  EXPECT_EQ(missed, 999);
  EXPECT_EQ(found_in(cache, 999), 999);
  const uint64_t elsewhere = 64ULL << 16 | 1;
  ask(cache, elsewhere, missed);
  EXPECT_EQ(found_in(cache, elsewhere), elsewhere);
}

// Of one name and one version of it; says itself whether it is still there.
class Versioned {
 public:
  Versioned(uint64_t name, uint64_t version) : name_(name), version_(version) {}
  ~Versioned() { name_ = 0; }
  [[nodiscard]] uint64_t name() const { return name_; }
  [[nodiscard]] uint64_t version() const { return version_; }

 private:
  std::atomic<uint64_t> name_;
  const uint64_t version_;
};

// Few places and many names: lines are read while others put into them, replace what is there, and
// take it out.
TEST(ContextCache, ReadersBesideWritersSeeOnlyWhatIsThere) {
  constexpr uint64_t kNames = 512;
  ContextCache<Versioned> cache(64);
  std::atomic<int> wrong = 0;
  std::atomic<int> found = 0;
  std::atomic<int> writing = 2;
  // Of other homes and other tags. Never 0.
  const auto name_of = [](uint64_t number) { return number << 16 | (number + 1); };
  {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 0; seed < 2; ++seed)
      threads.emplace_back([&, seed] {
        std::mt19937_64 random(seed);
        for (uint64_t i = 1; i <= 20'000 || found < 1'000; ++i) {
          const uint64_t name = name_of(random() % kNames);
          cache.put(name, std::make_shared<const Versioned>(name, i));
        }
        --writing;
      });
    for (uint64_t seed = 2; seed < 4; ++seed)
      threads.emplace_back([&, seed] {
        std::mt19937_64 random(seed);
        while (writing > 0) {
          const uint64_t name = name_of(random() % kNames);
          std::this_thread::yield();  // not within a section: writers wait for those
          const ReadSection section;
          const Versioned* const entry = cache.find(section, name);
          if (entry == nullptr) continue;
          ++found;
          // It may just have become another one's place, but is somebody's as long as it is read.
          for (int i = 0; i < 5; ++i)
            if (entry->name() == 0 || entry->version() == 0) ++wrong;
        }
      });
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace frameworks
