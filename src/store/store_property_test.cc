// Properties that hold for any sequence of writes, with any failures of the log in between.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <thread>

#include "base/file.h"
#include "store/fake_log.h"
#include "store/log_contract.h"
#include "store/store.h"

namespace frameworks {
namespace {

// One write of a transaction: `plan` 0 removes.
struct Step {
  int name;
  int plan;
};
using Steps = std::vector<Step>;

rc::Gen<Steps> any_steps() {
  return rc::gen::container<Steps>(
      rc::gen::construct<Step>(rc::gen::inRange(0, 6), rc::gen::inRange(0, 4)));
}

Edit edit_of(const Steps& steps) {
  return [steps](Transaction& t) -> Status {
    for (const Step& step : steps) {
      const std::string name = fmt::format("t{}", step.name);
      if (step.plan == 0) {
        t.remove({"Tenant", "", name});
        continue;
      }
      pb::Tenant tenant;
      tenant.mutable_metadata()->set_name(name);
      tenant.mutable_spec()->set_plan(fmt::format("p{}", step.plan));
      t.put(tenant);
    }
    return {};
  };
}

// The fleet byte by byte, with all that the store sets.
std::string bytes_of(const Snapshot& snapshot) {
  std::string out =
      fmt::format("{}@{}", snapshot.revision(), snapshot.time().time_since_epoch().count());
  for (const auto& tenant : snapshot.list<pb::Tenant>()) out += tenant->SerializeAsString() + "\n";
  return out;
}

std::unique_ptr<Store> open_store(std::unique_ptr<Log> log, Clock& clock,
                                  Store::Options options = {}) {
  return Store::open(std::move(log), clock, options).value();
}

// Follows a subscription and rebuilds the fleet from what it is told alone.
class Follower {
 public:
  Follower(const Snapshot& start, std::unique_ptr<Subscription> subscription)
      : fleet_(start), subscription_(std::move(subscription)) {}
  void catch_up(size_t limit) {
    while (true) {
      const auto changes = subscription_->next(limit);
      RC_ASSERT(changes.has_value());
      if (changes->empty()) return;
      for (const Change& change : *changes) {
        // Exactly once, in order, without a gap.
        RC_ASSERT(change.revision == fleet_.revision() || change.revision == fleet_.revision() + 1);
        const bool is_repeated =
            change.revision == fleet_.revision() && !seen_.insert(change.key).second;
        RC_ASSERT(!is_repeated);
        if (change.revision != fleet_.revision()) seen_ = {change.key};
        if (change.after) {
          fleet_.put(change.after);
        } else {
          fleet_.remove(change.key);
        }
        fleet_.set_revision(change.revision, change.time);
      }
    }
  }
  [[nodiscard]] const Snapshot& fleet() const { return fleet_; }

 private:
  Snapshot fleet_;
  std::unique_ptr<Subscription> subscription_;
  std::set<ResourceKey> seen_;
};

TEST(StoreProperty, TheLogHoldsTheSameFleetAsTheMemory) {
  const bool held = rc::check([] {
    const TemporaryDirectory directory = *TemporaryDirectory::make();
    const std::string path = directory.path() / "fleet.db";
    ManualClock clock;
    const auto transactions = *rc::gen::container<std::vector<Steps>>(any_steps());
    auto store =
        open_store(open_sqlite_log(path).value(), clock, {.retain = 3, .compact_every = 4});
    for (const Steps& steps : transactions) {
      clock.advance(std::chrono::nanoseconds(1'234'567));
      RC_ASSERT(store->write("account/test", edit_of(steps)).has_value());
    }
    const std::string in_memory = bytes_of(*store->snapshot());
    store.reset();
    RC_ASSERT(bytes_of((*open_sqlite_log(path))->load().value()) == in_memory);
  });
  EXPECT_TRUE(held);
}

TEST(StoreProperty, WatchersSeeEachChangeOnceInOrderWhereverTheyBegin) {
  const bool held = rc::check([] {
    ManualClock clock;
    const auto disk = std::make_shared<FakeDisk>();
    const auto faults = std::make_shared<FaultyLog::Faults>();
    const auto window = *rc::gen::inRange<size_t>(1, 20);
    auto store = open_store(std::make_unique<FaultyLog>(std::make_unique<FakeLog>(disk), faults),
                            clock, {.window = window});
    std::vector<Follower> followers;
    const auto transactions = *rc::gen::container<std::vector<Steps>>(any_steps());
    for (const Steps& steps : transactions) {
      const SnapshotPtr start = store->snapshot();
      followers.emplace_back(*start, store->subscribe(start->revision(), [] {}).value());
      faults->set(
          *rc::gen::weightedElement<FaultyLog::Fault>({{6, FaultyLog::Fault::kNone},
                                                       {1, FaultyLog::Fault::kBeforeAppend},
                                                       {1, FaultyLog::Fault::kAfterAppend}}));
      (void)store->write("account/test", edit_of(steps));
      if (*rc::gen::arbitrary<bool>()) followers[followers.size() / 2].catch_up(1);
    }
    faults->set(FaultyLog::Fault::kNone);
    RC_ASSERT(store->write("account/test", edit_of({})).has_value());
    for (Follower& follower : followers) {
      follower.catch_up(3);
      RC_ASSERT(bytes_of(follower.fleet()) == bytes_of(*store->snapshot()));
    }
    const std::string in_memory = bytes_of(*store->snapshot());
    followers.clear();
    store.reset();
    RC_ASSERT(bytes_of(FakeLog(disk).load().value()) == in_memory);
  });
  EXPECT_TRUE(held);
}

TEST(StoreProperty, ConcurrentWritersAndWatchersAgreeOnOneHistory) {
  constexpr int kWriters = 3;
  constexpr int kWrites = 300;
  ManualClock clock;
  auto store = open_store(std::make_unique<FakeLog>(), clock, {.window = 50, .compact_every = 64});
  std::atomic<bool> written = false;
  std::vector<std::jthread> threads;
  std::array<std::string, 4> ends;
  for (std::string& end : ends)
    threads.emplace_back([&] {
      const SnapshotPtr start = store->snapshot();
      Follower follower(*start, store->subscribe(start->revision(), [] {}).value());
      while (!written) follower.catch_up(5);
      follower.catch_up(5);
      end = bytes_of(follower.fleet());
    });
  {
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < kWriters; ++writer)
      writers.emplace_back([&, writer] {
        for (int i = 0; i < kWrites; ++i) {
          const Edit count_up = [&](Transaction& t) -> Status {
            // Reads what it writes: lost updates would show in the sum.
            const auto* old = t.snapshot().find<pb::Tenant>("counter");
            pb::Tenant counter = old == nullptr ? pb::Tenant() : *old;
            counter.mutable_metadata()->set_name("counter");
            counter.mutable_spec()->mutable_limits()->set_nodes(counter.spec().limits().nodes() +
                                                                1);
            t.put(counter);
            t.put([&] {
              pb::Tenant own;
              own.mutable_metadata()->set_name(fmt::format("w{}", writer));
              own.mutable_spec()->set_plan(fmt::format("p{}", i));
              return own;
            }());
            return {};
          };
          ASSERT_TRUE(store->write("account/test", count_up));
        }
      });
  }
  written = true;
  threads.clear();
  EXPECT_EQ(store->snapshot()->find<pb::Tenant>("counter")->spec().limits().nodes(),
            kWriters * kWrites);
  EXPECT_EQ(store->revision(), kWriters * kWrites);
  for (const std::string& end : ends) EXPECT_EQ(end, bytes_of(*store->snapshot()));
}

}  // namespace
}  // namespace frameworks
