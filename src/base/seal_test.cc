#include "base/seal.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr const char* kPlace =
    "Secret\x1f\x1f"
    "db\x1f"
    "data.password";

TEST(Seal, OpensWhereItBelongsAndNowhereElse) {
  const SealKeys keys = SealKeys::make();
  for (const std::string& value : {std::string("hunter2"), std::string(), std::string(100'000, 'x'),
                                   std::string("\0\xff\n", 3)}) {
    const std::string sealed = keys.seal(value, kPlace);
    EXPECT_TRUE(is_sealed(sealed));
    EXPECT_EQ(*keys.open(sealed, kPlace), value);
    EXPECT_EQ(keys.open(sealed, "Secret/other").error().code(), Code::kDataLoss);
  }
}

TEST(Seal, ShowsNothingOfTheValueAndIsDifferentEachTime) {
  const SealKeys keys = SealKeys::make();
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(keys.seal("hunter2hunter2", kPlace));
  EXPECT_EQ(seen.size(), 1000u);
  for (const std::string& sealed : seen) {
    EXPECT_EQ(sealed.find("hunter2"), std::string::npos);
    EXPECT_EQ(base64_decode(sealed.substr(18))->find("hunter2"), std::string::npos);
  }
}

TEST(Seal, AChangedByteAnywhereIsSeen) {
  const SealKeys keys = SealKeys::make();
  const std::string sealed = keys.seal("hunter2", kPlace);
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(keys.open(changed, kPlace)) << i;
    EXPECT_FALSE(keys.open(sealed.substr(0, i), kPlace)) << i;
  }
}

TEST(Seal, AnotherKeyIsToldApartFromAChangedValue) {
  const std::string sealed = SealKeys::make().seal("hunter2", kPlace);
  const auto opened = SealKeys::make().open(sealed, kPlace);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kNotFound);
}

TEST(Seal, ARotatedRingSealsWithTheNewKeyAndOpensWhatTheOldOneSealed) {
  const SealKeys old = SealKeys::make();
  const SealKeys keys = old.rotated();
  const std::string before = old.seal("hunter2", kPlace);
  const std::string after = keys.seal("hunter2", kPlace);
  EXPECT_EQ(*keys.open(before, kPlace), "hunter2");
  EXPECT_EQ(*keys.open(after, kPlace), "hunter2");
  EXPECT_FALSE(old.open(after, kPlace));
  EXPECT_FALSE(keys.is_newest(before));
  EXPECT_TRUE(keys.is_newest(after));
}

TEST(Seal, TheKeyFileReadsBackAndSaysWhichLineIsWrongWithoutShowingIt) {
  const SealKeys keys = SealKeys::make().rotated();
  const auto again = SealKeys::parse("\n" + keys.text() + "\n");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->text(), keys.text());
  EXPECT_EQ(*again->open(keys.seal("a", kPlace), kPlace), "a");
  EXPECT_FALSE(SealKeys::parse(""));
  EXPECT_FALSE(SealKeys::parse("\n \n"));
  const std::string line = keys.text().substr(0, 73);
  for (const std::string& bad : {line.substr(0, 72), "0" + line, line + "00", std::string("x"),
                                 std::string("01234567 ") + std::string(64, '0')}) {
    const auto parsed = SealKeys::parse(keys.text() + bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().message(), "line 3: not a key, its id and 64 hex digits");
  }
}

TEST(Seal, KnowsItsForm) {
  for (const char* text :
       {"", "hunter2", "sealed:", "sealed:1:", "sealed:1:abcdefgh", "sealed:2:abcdefgh:AAAA"})
    EXPECT_FALSE(is_sealed(text)) << text;
  EXPECT_EQ(SealKeys::make().open("hunter2", kPlace).error().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace frameworks
