#include "control/lease.h"

#include <gtest/gtest.h>

#include <atomic>

#include "frameworks/v1/tenant.pb.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

constexpr LeaseTimes kQuick{.beat = std::chrono::milliseconds(50),
                            .dead_after = std::chrono::milliseconds(1'500),
                            .give_up_after = std::chrono::milliseconds(1'000)};

// A log whose beats can be cut off, as for a server that stands still or lost its network.
class CutLog final : public SharedLog {
 public:
  explicit CutLog(SharedLog& log) : log_(log) {}
  std::atomic<bool> cut = false;

  void follow(std::function<void()> changed) override { log_.follow(std::move(changed)); }
  Status take_turn() override { return log_.take_turn(); }
  void end_turn() override { log_.end_turn(); }
  Status enter(const std::string& name, const std::string& incarnation) override {
    return log_.enter(name, incarnation);
  }
  Result<std::vector<ServerBeat>> beat(const std::string& name, const std::string& incarnation,
                                       const std::string& report) override {
    if (cut) return Error(Code::kUnavailable, "the network is cut");
    return log_.beat(name, incarnation, report);
  }
  Result<std::vector<ServerBeat>> beats() override { return log_.beats(); }
  Status leave(const std::string& name, const std::string& incarnation) override {
    return cut ? Status() : log_.leave(name, incarnation);
  }
  Result<std::string> keep(const std::string& name, const std::string& value) override {
    return log_.keep(name, value);
  }
  Result<std::string> kept(const std::string& name) override { return log_.kept(name); }

 private:
  SharedLog& log_;
};

struct Server {
  explicit Server(const std::shared_ptr<FakeDisk>& disk, const std::string& name,
                  std::string report = "") {
    auto log = std::make_unique<FakeSharedLog>(disk);
    shared = std::make_unique<CutLog>(*log);
    store = *Store::open(std::move(log), system_clock(), {});
    lease = make_shared_lease(*store, *shared, system_clock(), name, kQuick,
                              [this] { replaced = true; });
    lease->set_report([report] { return report; });
    lease->on_change([this](bool held) { held ? ++gained : ++lost; });
  }
  std::unique_ptr<CutLog> shared;
  std::unique_ptr<Store> store;
  std::atomic<int> gained = 0;
  std::atomic<int> lost = 0;
  std::atomic<bool> replaced = false;
  std::unique_ptr<Lease> lease;
};

template <typename Done>
bool eventually(Done done) {
  for (int i = 0; i < 2'000; ++i) {
    if (done()) return true;
    (void)system_clock().sleep_for(std::chrono::milliseconds(5), {});
  }
  return false;
}

Edit put_tenant(const std::string& name) {
  return [name](Transaction& t) -> Status {
    pb::Tenant tenant;
    tenant.mutable_metadata()->set_name(name);
    t.put(std::move(tenant));
    return {};
  };
}

class LeaseTest : public testing::Test {
 protected:
  std::shared_ptr<FakeDisk> disk_ = std::make_shared<FakeDisk>();
};

TEST_F(LeaseTest, TheFirstServerHoldsItWhenStartReturnsAndTheSecondDoesNot) {
  Server one(disk_, "one");
  Server two(disk_, "two");
  ASSERT_TRUE(one.lease->start());
  ASSERT_TRUE(two.lease->start());
  EXPECT_TRUE(one.lease->held());
  EXPECT_FALSE(two.lease->held());
  EXPECT_EQ(one.gained, 1);
  EXPECT_TRUE(one.lease->is_alive("one"));
  EXPECT_TRUE(two.lease->is_alive("one"));
  EXPECT_FALSE(two.lease->is_alive("three"));
}

TEST_F(LeaseTest, WhoLeavesHandsItOverAtOnce) {
  auto one = std::make_unique<Server>(disk_, "one");
  Server two(disk_, "two");
  ASSERT_TRUE(one->lease->start());
  ASSERT_TRUE(two.lease->start());
  one->lease.reset();
  EXPECT_TRUE(eventually([&] { return two.lease->held(); }));
  EXPECT_FALSE(two.lease->is_alive("one"));
}

TEST_F(LeaseTest, AHolderThatIsCutOffStopsByItselfAndAnotherTakesOver) {
  Server one(disk_, "one");
  Server two(disk_, "two");
  ASSERT_TRUE(one.lease->start());
  ASSERT_TRUE(two.lease->start());
  const Edit old = one.lease->fenced(put_tenant("late"));
  one.shared->cut = true;
  EXPECT_TRUE(eventually([&] { return one.lost == 1; }));
  EXPECT_TRUE(eventually([&] { return two.lease->held(); }));
  EXPECT_EQ(two.gained, 1);
  // What it had begun before, and only now gets to the log.
  const auto late = one.store->write("system/test", old);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::kFailedPrecondition);
  one.shared->cut = false;
  EXPECT_TRUE(eventually([&] { return two.lease->is_alive("one"); }));
  EXPECT_FALSE(one.lease->held());
  EXPECT_TRUE(two.lease->held()) << "nobody takes it from who lives";
}

TEST_F(LeaseTest, OnlyTheHolderWritesThroughAFencedStore) {
  Server one(disk_, "one");
  Server two(disk_, "two");
  ASSERT_TRUE(one.lease->start());
  ASSERT_TRUE(two.lease->start());
  EXPECT_TRUE(FencedStore(*one.store, *one.lease).write("system/test", put_tenant("a")));
  EXPECT_FALSE(FencedStore(*two.store, *two.lease).write("system/test", put_tenant("b")));
  EXPECT_TRUE(two.store->write("system/test", put_tenant("c")));
}

TEST_F(LeaseTest, AServerThatStartsAgainTakesItsLeaseWithAnotherEpoch) {
  auto one = std::make_unique<Server>(disk_, "one");
  ASSERT_TRUE(one->lease->start());
  const Edit old = one->lease->fenced(put_tenant("late"));
  one->shared->cut = true;  // as with kill -9: it neither leaves nor gives up
  EXPECT_TRUE(eventually([&] { return !one->lease->held(); }));
  Server again(disk_, "one");
  ASSERT_TRUE(again.lease->start());
  EXPECT_TRUE(again.lease->held());
  EXPECT_FALSE(again.store->write("system/test", old));
  one->shared->cut = false;
  EXPECT_TRUE(eventually([&] { return one->replaced.load(); })) << "the old process is told";
}

TEST_F(LeaseTest, ANameThatIsTakenIsRefused) {
  Server one(disk_, "one");
  ASSERT_TRUE(one.lease->start());
  Server other(disk_, "one");
  const Status refused = other.lease->start();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("--replica-name"), std::string::npos);
}

TEST_F(LeaseTest, ReportsReachTheOthersWhileTheServerLives) {
  Server one(disk_, "one", "all is well");
  Server two(disk_, "two");
  ASSERT_TRUE(one.lease->start());
  ASSERT_TRUE(two.lease->start());
  EXPECT_TRUE(eventually([&] { return two.lease->report_of("one") == "all is well"; }));
  one.shared->cut = true;
  EXPECT_TRUE(eventually([&] { return two.lease->report_of("one").empty(); }));
}

TEST(SoleLease, IsAlwaysHeldAndWritesNothing) {
  const auto lease = make_sole_lease("alone");
  int gained = 0;
  lease->on_change([&](bool held) { gained += held ? 1 : 100; });
  ASSERT_TRUE(lease->start());
  EXPECT_TRUE(lease->held());
  EXPECT_EQ(gained, 1);
  EXPECT_TRUE(lease->is_alive("alone"));
  EXPECT_FALSE(lease->is_alive("another"));
}

}  // namespace
}  // namespace frameworks
