#include "runtime/sessions/convergence.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace frameworks {
namespace {

using std::chrono::milliseconds;
const WallTime kTime{std::chrono::hours(100)};
WallTime at(int ms) { return kTime + milliseconds(ms); }

Convergence::Plane mesh_at(const Convergence& convergence, Revision revision) {
  return convergence.at(revision).front();
}

TEST(Convergence, WaitsForEveryNodeAndTellsTheSlowest) {
  Convergence c({"mesh"});
  c.want("a", "mesh", "h1", 7, at(0));
  c.want("b", "mesh", "h2", 7, at(0));
  c.applied("a", "mesh", "h1", at(20));
  EXPECT_EQ(mesh_at(c, 7).total, 2);
  ASSERT_EQ(mesh_at(c, 7).waiting.size(), 1u);
  EXPECT_EQ(mesh_at(c, 7).waiting[0].node, "b");
  EXPECT_FALSE(mesh_at(c, 7).elapsed);
  c.applied("b", "mesh", "h2", at(85));
  EXPECT_TRUE(mesh_at(c, 7).waiting.empty());
  EXPECT_EQ(mesh_at(c, 7).elapsed, milliseconds(85));
}

TEST(Convergence, ALaterChangeDoesNotDelayAnEarlierRevision) {
  Convergence c({"mesh"});
  c.want("a", "mesh", "h1", 7, at(0));
  c.applied("a", "mesh", "h1", at(10));
  c.want("a", "mesh", "h2", 9, at(100));
  EXPECT_EQ(mesh_at(c, 8).elapsed, milliseconds(10));
  EXPECT_FALSE(mesh_at(c, 9).elapsed);
}

TEST(Convergence, ANewerPlanAnswersForTheOlderOnesItReplaced) {
  Convergence c({"mesh"});
  c.want("a", "mesh", "h1", 7, at(0));
  c.want("a", "mesh", "h2", 8, at(40));
  c.applied("a", "mesh", "h1", at(50));
  EXPECT_FALSE(mesh_at(c, 7).elapsed);
  c.applied("a", "mesh", "h2", at(60));
  EXPECT_EQ(mesh_at(c, 7).elapsed, milliseconds(60));
  EXPECT_EQ(mesh_at(c, 8).elapsed, milliseconds(20));
}

TEST(Convergence, AChangeThatWasTakenBackIsConverged) {
  Convergence c({"mesh"});
  c.want("a", "mesh", "h1", 7, at(0));
  c.applied("a", "mesh", "h1", at(10));
  c.want("a", "mesh", "h2", 8, at(20));
  c.want("a", "mesh", "h1", 9, at(30));
  EXPECT_TRUE(mesh_at(c, 9).elapsed);
}

TEST(Convergence, TellsWhyANodeRefuses) {
  Convergence c({"mesh"});
  c.want("a", "mesh", "h1", 7, at(0));
  c.failed("a", "mesh", "no such device");
  EXPECT_EQ(mesh_at(c, 7).waiting[0].error, "no such device");
  c.want("a", "mesh", "h2", 8, at(5));
  EXPECT_EQ(mesh_at(c, 8).waiting[0].error, "");
}

TEST(Convergence, ARemovedNodeIsNotWaitedFor) {
  Convergence c({"mesh"});
  c.want("a", "mesh", "h1", 7, at(0));
  c.remove("a");
  EXPECT_EQ(mesh_at(c, 7).total, 0);
  EXPECT_TRUE(mesh_at(c, 7).elapsed);
}

RC_GTEST_PROP(Convergence, ConvergesOnceEveryNodeHasTheLastPlan, ()) {
  Convergence c({"mesh", "names"});
  const auto changes = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(0, 5), rc::gen::inRange(0, 4)));
  Revision revision = 0;
  std::set<std::string> nodes;
  for (const auto& [node, hash] : changes) {
    ++revision;
    nodes.insert("n" + std::to_string(node));
    for (const char* plane : {"mesh", "names"})
      c.want("n" + std::to_string(node), plane, "h" + std::to_string(hash), revision, at(0));
  }
  for (const std::string& node : nodes)
    for (const char* plane : {"mesh", "names"})
      c.applied(node, plane, c.wanted(node, plane), at(9));
  for (Revision r = 0; r <= revision; ++r)
    for (const auto& plane : c.at(r)) RC_ASSERT(plane.waiting.empty() && plane.elapsed.has_value());
  for (const std::string& node : nodes) RC_ASSERT(c.converged(node));
}

}  // namespace
}  // namespace frameworks
