// Several stores on one log, as several servers have them: in memory, and in PostgreSQL.
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "store/fake_log.h"
#include "store/log_contract.h"
#include "store/shared_postgres.h"
#include "store/store.h"

namespace frameworks {
namespace {

struct FakeFleet {
  static std::string why_not() { return {}; }
  std::unique_ptr<Log> open() { return std::make_unique<FakeSharedLog>(disk); }
  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
};

template <bool notify>
struct PostgresFleet {
  static std::string why_not() { return why_no_postgres(); }
  std::unique_ptr<Log> open() {
    PostgresLogOptions options;
    options.notify = notify;
    auto log = open_postgres_log(conninfo, options);
    EXPECT_TRUE(log) << log.error().text();
    return log ? *std::move(log) : nullptr;
  }
  std::string conninfo = shared_postgres() == nullptr ? "" : shared_postgres()->make_database();
};

template <typename Fleet>
class SharedStore : public testing::Test {
 protected:
  struct Server {
    std::shared_ptr<FaultyLog::Faults> faults = std::make_shared<FaultyLog::Faults>();
    std::unique_ptr<Store> store;
    Store* operator->() const { return store.get(); }
  };
  void SetUp() override {
    if (const std::string reason = Fleet::why_not(); !reason.empty()) GTEST_SKIP() << reason;
  }
  Server open(Store::Options options = {}) {
    Server server;
    auto log = std::make_unique<FaultyLog>(fleet_.open(), server.faults);
    auto store = Store::open(std::move(log), system_clock(), options);
    EXPECT_TRUE(store) << store.error().text();
    server.store = *std::move(store);
    return server;
  }
  // Reads the plan of tenant "t" as a number and writes the next one.
  static Result<Committed> count_up(Server& server) {
    return server->write("account/test", [](Transaction& t) -> Status {
      const auto* found = t.snapshot().find<pb::Tenant>("t");
      pb::Tenant tenant = found == nullptr ? pb::Tenant() : *found;
      tenant.mutable_metadata()->set_name("t");
      const std::string& plan = tenant.spec().plan();
      tenant.mutable_spec()->set_plan(std::to_string(plan.empty() ? 1 : std::stoi(plan) + 1));
      t.put(std::move(tenant));
      return {};
    });
  }
  static Result<Committed> put(Server& server, const std::string& name, const std::string& plan) {
    return server->write("account/test", [&](Transaction& t) -> Status {
      pb::Tenant tenant;
      tenant.mutable_metadata()->set_name(name);
      tenant.mutable_spec()->set_plan(plan);
      t.put(std::move(tenant));
      return {};
    });
  }
  static bool reaches(const Server& server, Revision revision) {
    for (int i = 0; i < 2'000; ++i) {
      if (server->snapshot()->revision() >= revision) return true;
      (void)system_clock().sleep_for(std::chrono::milliseconds(5), {});
    }
    return false;
  }

  Fleet fleet_;
};
using Fleets = testing::Types<FakeFleet, PostgresFleet<true>, PostgresFleet<false>>;
TYPED_TEST_SUITE(SharedStore, Fleets);

TYPED_TEST(SharedStore, WritesOfAllServersAreOneOrderAndNoneIsLost) {
  constexpr int kServers = 3;
  constexpr int kWrites = 60;
  std::vector<typename TestFixture::Server> servers;
  for (int i = 0; i < kServers; ++i) servers.push_back(this->open());
  Locked<std::set<Revision>> revisions;
  {
    std::vector<std::jthread> writers;
    for (auto& server : servers)
      for (int thread = 0; thread < 2; ++thread)
        writers.emplace_back([&] {
          for (int i = 0; i < kWrites; ++i) {
            const auto done = this->count_up(server);
            ASSERT_TRUE(done) << done.error().text();
            revisions.with([&](auto& all) { EXPECT_TRUE(all.insert(done->revision).second); });
          }
        });
  }
  constexpr Revision kTotal = kServers * 2 * kWrites;
  for (auto& server : servers) {
    ASSERT_TRUE(this->reaches(server, kTotal));
    EXPECT_EQ(text_of(*server->snapshot()), fmt::format("{0}: t={0}", kTotal));
  }
}

TYPED_TEST(SharedStore, AWatcherOnEveryServerIsToldEverythingInOrder) {
  auto one = this->open();
  auto two = this->open();
  const auto watch = *two->subscribe(0, [] {});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(this->count_up(i % 3 == 0 ? two : one));
  ASSERT_TRUE(this->reaches(two, 50));
  Revision seen = 0;
  while (true) {
    const auto changes = watch->next(7);
    ASSERT_TRUE(changes) << changes.error().text();
    if (changes->empty()) break;
    for (const Change& change : *changes) {
      ASSERT_EQ(change.revision, ++seen);
      EXPECT_EQ(static_cast<bool>(change.before), seen > 1) << "as it was before";
    }
  }
  EXPECT_EQ(seen, 50);
}

TYPED_TEST(SharedStore, AnAnswerThatNothingWasToBeDoneIsOfTheNewestState) {
  auto one = this->open();
  auto two = this->open();
  ASSERT_TRUE(this->put(one, "a", "free"));
  ASSERT_TRUE(this->reaches(two, 1));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(this->put(one, "a", "pro"));
    // As two knew it a moment ago, this would change nothing.
    const auto done = this->put(two, "a", "free");
    ASSERT_TRUE(done);
    EXPECT_EQ(done->revision, 3 + 2 * i);
    ASSERT_TRUE(this->put(one, "a", "free")) << "nothing to do";
    EXPECT_EQ(one->revision(), 3 + 2 * i);
  }
}

TYPED_TEST(SharedStore, AppendsOfUnknownOutcomeAreThereOnceAlsoBesideOthers) {
  auto one = this->open();
  auto two = this->open();
  for (int round = 0; round < 10; ++round) {
    two.faults->set(FaultyLog::Fault::kAfterAppend);
    EXPECT_FALSE(this->count_up(two));
    two.faults->set(FaultyLog::Fault::kNone);
    ASSERT_TRUE(this->count_up(one));
    ASSERT_TRUE(this->count_up(two));
  }
  ASSERT_TRUE(this->reaches(one, 30));
  EXPECT_EQ(text_of(*one->snapshot()), "30: t=30");
  EXPECT_EQ(text_of(*two->snapshot()), "30: t=30");
}

TYPED_TEST(SharedStore, AServerThatMissedWhatIsForgottenStartsAgainAndSoDoItsWatchers) {
  Store::Options options;
  options.window = 4;
  options.retain = 5;
  options.compact_every = 10;
  auto one = this->open(options);
  auto two = this->open(options);
  ASSERT_TRUE(this->count_up(one));
  ASSERT_TRUE(this->reaches(two, 1));
  const auto watch = *two->subscribe(1, [] {});
  two.faults->set(FaultyLog::Fault::kEverything);  // it is cut off
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(this->count_up(one));
  while (one->subscribe(1, [] {})) (void)system_clock().sleep_for(std::chrono::milliseconds(5), {});
  EXPECT_EQ(two->revision(), 1);
  two.faults->set(FaultyLog::Fault::kNone);
  const auto done = this->count_up(two);
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(text_of(*two->snapshot()), "62: t=62");
  EXPECT_EQ(watch->next(10).error().code(), Code::kOutOfRange);
}

}  // namespace
}  // namespace frameworks
