#include "runtime/tenants/context_slab.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

namespace frameworks {
namespace {

TEST(ContextSlab, PlacesAreApartAndUsedAgain) {
  constexpr size_t kSize = 200;
  ContextSlab slab(kSize);
  std::vector<void*> taken;
  for (int i = 0; i < 20'000; ++i) {
    taken.push_back(slab.take());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(taken.back()) % 64, 0);
    std::memset(taken.back(), i % 251, kSize);
  }
  for (int i = 0; i < 20'000; ++i) {
    const auto* bytes = static_cast<const unsigned char*>(taken[static_cast<size_t>(i)]);
    ASSERT_EQ(bytes[0], i % 251);
    ASSERT_EQ(bytes[kSize - 1], i % 251);
  }
  const std::set<void*> all(taken.begin(), taken.end());
  EXPECT_EQ(all.size(), taken.size());
  for (void* const place : taken) slab.give_back(place);
  for (size_t i = 0; i < taken.size(); ++i) EXPECT_TRUE(all.contains(slab.take()));
}

}  // namespace
}  // namespace frameworks
