#include "runtime/orchestration/disruption_budget.h"

#include <gtest/gtest.h>

namespace frameworks {
namespace {

TEST(DisruptionBudget, IsAShareANumberOrTheLargerOfBoth) {
  EXPECT_EQ(DisruptionBudget().most_of(50), 10);
  EXPECT_EQ(DisruptionBudget().most_of(10'000), 1000);
  EXPECT_EQ(DisruptionBudget::parse("5%")->most_of(200), 10);
  EXPECT_EQ(DisruptionBudget::parse("5%")->most_of(3), 1) << "else nothing would ever change";
  EXPECT_EQ(DisruptionBudget::parse("25")->most_of(10'000), 25);
  EXPECT_EQ(DisruptionBudget::parse("25,5%")->most_of(200), 25);
  EXPECT_EQ(DisruptionBudget::parse("100%")->most_of(2'000'000'000), 2'000'000'000);
}

TEST(DisruptionBudget, IsWrittenAsItIsRead) {
  EXPECT_EQ(DisruptionBudget().text(), "10%,10");
  for (const char* text : {"1%", "100%", "1", "1000000", "10%,25"})
    EXPECT_EQ(DisruptionBudget::parse(text)->text(), text);
}

TEST(DisruptionBudget, RefusesWhatIsNone) {
  for (const char* text : {"", "0", "0%", "101%", "-1", "1.5", "ten", "%", "10 %", "10%,", "5,6",
                           "5%,6%", "1000001", "99999999999999999999"})
    EXPECT_FALSE(DisruptionBudget::parse(text)) << text;
}

}  // namespace
}  // namespace frameworks
