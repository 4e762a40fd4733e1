#include "hostd/names.h"

#include <gtest/gtest.h>

namespace frameworks::hostd {
namespace {

TEST(Names, InterfaceNamesFitTheKernelAndStayDistinct) {
  EXPECT_EQ(bridge_name("eu-west"), "br-eu-west");
  const std::string one = bridge_name("a-region-with-a-long-name-1");
  const std::string two = bridge_name("a-region-with-a-long-name-2");
  EXPECT_LE(one.size(), 15U);
  EXPECT_NE(one, two);
}

TEST(Names, NoMachineNamespaceIsThatOfAnotherInstance) {
  EXPECT_EQ(machine_namespace("demo", "2"), "demo.2");
  EXPECT_NE(machine_namespace("demo", "2"), fabric_namespace("demo-2"));
}

TEST(Names, MacFollowsFromTheAddressAndIsLocalUnicast) {
  EXPECT_EQ(mac_of_address(*IpAddress::parse("10.99.1.2")), "02:0f:0a:63:01:02");
  EXPECT_TRUE(mac_of_label("br-eu").starts_with("06:"));
}

}  // namespace
}  // namespace frameworks::hostd
