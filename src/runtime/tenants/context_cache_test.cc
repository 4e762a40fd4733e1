#include "runtime/tenants/context_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace frameworks {
namespace {

using Cache = ContextCache<uint64_t>;

void ask(Cache& cache, uint64_t hash, int& missed) {
  const auto found = cache.find(hash);
  if (found != nullptr && *found == hash) return;
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
    for (int i = 0; i < 500'000; ++i) {
      const uint64_t name = names[random() % names.size()];
      ask(cache, name, missed);
      const auto found = cache.find(name);
      ASSERT_NE(found, nullptr);
      ASSERT_EQ(*found, name);
    }
    EXPECT_GT(missed, 400'000);
  }
}

// A run of names that all begin in the same line.
TEST(ContextCache, NamesOfOneLineTakeEachOthersPlaces) {
  Cache cache(256);
  int missed = 0;
  for (uint64_t tag = 1; tag < 1'000; ++tag) ask(cache, tag, missed);
  EXPECT_EQ(missed, 999);
  EXPECT_NE(cache.find(999), nullptr);
  const uint64_t elsewhere = 64ULL << 16 | 1;
  ask(cache, elsewhere, missed);
  EXPECT_EQ(*cache.find(elsewhere), elsewhere);
}

// Few places and many names: lines are read while others put into them and take out of them.
TEST(ContextCache, ManyThreadsFindOnlyWhatWasPut) {
  constexpr uint64_t kNames = 512;
  Cache cache(64);
  std::atomic<int> wrong = 0;
  std::atomic<int> found = 0;
  {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 0; seed < 4; ++seed)
      threads.emplace_back([&, seed] {
        std::mt19937_64 random(seed);
        for (int i = 0; i < 100'000; ++i) {
          // Of other homes and other tags.
          const uint64_t n = random() % kNames;
          const uint64_t name = n << 16 | n;
          if (const auto entry = cache.find(name); entry == nullptr)
            cache.put(name, std::make_shared<const uint64_t>(name));
          else if (++found; *entry != name)
            ++wrong;
        }
      });
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(found, 10'000);
}

}  // namespace
}  // namespace frameworks
