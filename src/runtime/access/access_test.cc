#include <gtest/gtest.h>

#include "runtime/access/rate_limit.h"
#include "runtime/access/token.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

MonoTime at(Duration since_start) { return MonoTime(std::chrono::hours(1) + since_start); }

TEST(RateLimit, LetsThroughAsManyAtOnceAsASecondHasAndThenOneAtATime) {
  RateLimit limit;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limit.allow(at(0s), 10)) << i;
  EXPECT_FALSE(limit.allow(at(0s), 10));
  EXPECT_FALSE(limit.allow(at(50ms), 10));
  EXPECT_TRUE(limit.allow(at(100ms), 10));
  EXPECT_FALSE(limit.allow(at(100ms), 10));
}

TEST(RateLimit, APauseIsNotSavedUpBeyondTheBurst) {
  RateLimit limit;
  int passed = 0;
  for (int i = 0; i < 100; ++i) passed += limit.allow(at(1000s), 10);
  EXPECT_EQ(passed, 10);
}

TEST(RateLimit, ZeroIsNoLimit) {
  RateLimit limit;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limit.allow(at(0s), 0));
}

TEST(AddressLimits, AnAddressIsHeldBackAndAnIpv6PrefixCountsAsOne) {
  AddressLimits limits(1, 2);
  EXPECT_TRUE(limits.allow("2001:db8:1:2::1", at(0s)));
  EXPECT_TRUE(limits.allow("2001:db8:1:2::2", at(0s)));
  EXPECT_FALSE(limits.allow("2001:db8:1:2:aaaa::3", at(0s)));
}

TEST(TokenText, HasThreePartsOrIsNone) {
  const NewToken made = make_token("a1b2");
  const auto parts = parse_token(made.text);
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->name, "a1b2");
  EXPECT_EQ(parts->secret.size(), 32u) << "160 bits, five a character";
  EXPECT_NE(make_token("a1b2").text, made.text);
  for (const char* text : {"", "fwt_", "fwt_name", "fwt_name_", "fwt__secret", "name_secret"})
    EXPECT_FALSE(parse_token(text)) << text;
}

}  // namespace
}  // namespace frameworks
