#include "hostd/cgroups.h"

#include <gtest/gtest.h>

namespace frameworks::hostd {
namespace {

using Paths = std::vector<std::filesystem::path>;

TEST(Cgroups, PureV2IsUsedAtTheTopOfTheTree) {
  EXPECT_EQ(plan_cgroup_roots("29 23 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
                              "0::/user.slice/session-3.scope\n", "demo"),
            (Paths{"/sys/fs/cgroup/demo"}));
}

TEST(Cgroups, V1IsUsedBelowTheCallersOwnPlace) {
  const char* mounts =
      "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
      "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
      "42 23 0:39 / /mnt rw - ext4 /dev/vda rw\n";
  const char* own = "4:memory:/jobs/17\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n";
  EXPECT_EQ(plan_cgroup_roots(mounts, own, "demo"),
            (Paths{"/sys/fs/cgroup/cpu,cpuacct/demo", "/sys/fs/cgroup/memory/jobs/17/demo",
                   "/sys/fs/cgroup/systemd/demo", "/sys/fs/cgroup/unified/demo"}));
}

TEST(Cgroups, NothingMountedGivesNothing) {
  EXPECT_TRUE(plan_cgroup_roots("", "", "demo").empty());
}

TEST(Cgroups, WhatIsNotMountedHereIsNotTakenForEmpty) {
  const Status hidden = Cgroups({"/proc/frameworks-demo/machine"}).check_visible();
  ASSERT_FALSE(hidden);
  EXPECT_EQ(hidden.error().code(), Code::kFailedPrecondition);
  const auto roots = find_cgroup_roots("frameworks-that-was-never-there");
  if (!roots) GTEST_SKIP() << "this host has no cgroup hierarchy";
  EXPECT_TRUE(Cgroups(*roots).check_visible());
}

}  // namespace
}  // namespace frameworks::hostd
