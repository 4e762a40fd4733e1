#include "hostd/network.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace frameworks::hostd {
namespace {

v1::EnsureFabricRequest fabric(std::initializer_list<const char*> regions) {
  v1::EnsureFabricRequest out;
  out.set_host_address("10.99.0.1/16");
  for (const char* region : regions) out.add_links()->set_region(region);
  return out;
}

bool changes_something(const std::string& line) {
  return line.starts_with("link add") || line.starts_with("link del") ||
         line.starts_with("addr del") || line.starts_with("tuntap");
}

TEST(Fabric, GivesEachRegionABridgeAndATapAndTheFirstTheHostsAddress) {
  const auto lines = plan_fabric(fabric({"eu", "us"}), {}, "/state");
  EXPECT_EQ(std::ranges::count_if(lines, [](const auto& l) { return l.starts_with("tuntap add"); }),
            2);
  EXPECT_EQ(std::ranges::count(lines, "link set wan-us master br-us up"), 1);
  EXPECT_EQ(std::ranges::count(lines, "addr replace 10.99.0.1/16 dev br-eu"), 1);
  EXPECT_EQ(std::ranges::count(lines, "link set br-us alias /state up"), 1);
}

TEST(Fabric, LeavesWhatIsInPlaceAlone) {
  const Interfaces observed{{"lo", "br-eu", "wan-eu", "m-edge-1"},
                            {{"br-eu", *Cidr::parse("10.99.0.1/16")}}};
  EXPECT_TRUE(
      std::ranges::none_of(plan_fabric(fabric({"eu"}), observed, "/state"), changes_something));
}

TEST(Fabric, RemovesRegionsThatAreNotWantedAndMovesTheAddress) {
  const Interfaces observed{{"lo", "br-eu", "wan-eu", "br-us", "wan-us", "m-edge-1"},
                            {{"br-eu", *Cidr::parse("10.99.0.1/16")}}};
  const auto lines = plan_fabric(fabric({"us", "eu"}), observed, "/state");
  EXPECT_EQ(std::ranges::count(lines, "addr del 10.99.0.1/16 dev br-eu"), 1);
  EXPECT_EQ(std::ranges::count(lines, "addr replace 10.99.0.1/16 dev br-us"), 1);
  const auto fewer = plan_fabric(fabric({"us"}), observed, "/state");
  EXPECT_EQ(std::ranges::count(fewer, "link del br-eu"), 1);
  EXPECT_EQ(std::ranges::count(fewer, "link del wan-eu"), 1);
  EXPECT_EQ(std::ranges::count(fewer, "link del m-edge-1"), 0);
}

}  // namespace
}  // namespace frameworks::hostd
