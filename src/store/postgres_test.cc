// The log in PostgreSQL, against a real server; skipped where there can be none.
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "store/log_contract.h"
#include "store/postgres_schema.h"
#include "store/shared_log.h"
#include "store/shared_postgres.h"

namespace frameworks {
namespace {

std::unique_ptr<Log> open_or_die(const std::string& conninfo, bool notify = true) {
  PostgresLogOptions options;
  options.notify = notify;
  Result<std::unique_ptr<Log>> log = open_postgres_log(conninfo, options);
  EXPECT_TRUE(log) << log.error().text();
  return log ? *std::move(log) : nullptr;
}

struct PostgresPlace {
  std::string conninfo = shared_postgres() == nullptr ? "" : shared_postgres()->make_database();
  static std::string why_not() { return why_no_postgres(); }
  std::unique_ptr<Log> open() { return open_or_die(conninfo); }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, LogContract, PostgresPlace);

class PostgresLogTest : public testing::Test {
 protected:
  void SetUp() override {
    if (shared_postgres() == nullptr) GTEST_SKIP() << why_no_postgres();
    conninfo_ = shared_postgres()->make_database();
  }
  std::string conninfo_;
};

// A log that knows what is there.
std::unique_ptr<Log> loaded(const std::string& conninfo, bool notify = true) {
  auto log = open_or_die(conninfo, notify);
  EXPECT_TRUE(log->load());
  return log;
}

Status append_tenant(Log& log, Revision revision, const std::string& name) {
  const std::vector<Change> changes = {tenant_change(revision, name, "pro")};
  return log.append(changes, audit_rows(changes));
}

TEST_F(PostgresLogTest, WhoAppendsSecondIsToldSoAndHasWrittenNothing) {
  auto one = loaded(conninfo_);
  auto two = loaded(conninfo_);
  ASSERT_TRUE(append_tenant(*one, 1, "one"));
  const Status late = append_tenant(*two, 1, "two");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::kAborted) << late.error().text();
  EXPECT_EQ(text_of(*two->read(0, 10)), "1:one=pro");
  ASSERT_TRUE(append_tenant(*two, 2, "two"));
  EXPECT_EQ(text_of(*one->read(0, 10)), "1:one=pro 2:two=pro");
}

TEST_F(PostgresLogTest, ManyAppendersGetEveryRevisionOnce) {
  constexpr int kAppenders = 4;
  constexpr Revision kLast = 200;
  std::array<int, kAppenders> won{};
  std::latch all_are_loaded(kAppenders);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kAppenders; ++i)
      threads.emplace_back([&, i] {
        auto log = loaded(conninfo_);
        all_are_loaded.arrive_and_wait();
        for (Revision at = 0; at < kLast;) {
          const Status done = append_tenant(*log, at + 1, std::to_string(i));
          if (done) {
            ++won[static_cast<size_t>(i)];
            ++at;
            continue;
          }
          ASSERT_EQ(done.error().code(), Code::kAborted) << done.error().text();
          const auto changes = log->read(at, 1'000);
          ASSERT_TRUE(changes);
          for (const Change& change : *changes) ASSERT_EQ(change.revision, ++at);
        }
      });
  }
  const auto all = open_or_die(conninfo_)->read(0, 1'000);
  ASSERT_TRUE(all);
  std::array<int, kAppenders> found{};
  for (const Change& change : *all) ++found[static_cast<size_t>(std::stoi(change.key.name))];
  EXPECT_EQ(found, won);
}

TEST_F(PostgresLogTest, NobodyAppendsWhileAnotherHasTheTurn) {
  auto one = loaded(conninfo_);
  auto two = loaded(conninfo_);
  ASSERT_TRUE(one->shared()->take_turn());
  std::atomic<bool> ended = false;
  std::jthread other([&] {
    EXPECT_EQ(append_tenant(*two, 1, "two").error().code(), Code::kAborted);
    ended = true;
  });
  EXPECT_TRUE(one->read(0, 10)) << "reads go on";
  EXPECT_FALSE(ended);
  ASSERT_TRUE(append_tenant(*one, 1, "one"));
  other.join();
  ASSERT_TRUE(one->shared()->take_turn());
  one->shared()->end_turn();
  EXPECT_TRUE(append_tenant(*two, 2, "two"));
}

TEST_F(PostgresLogTest, AHolderOfTheTurnThatStandsStillLosesIt) {
  auto one = loaded(conninfo_);
  auto two = loaded(conninfo_);
  ASSERT_TRUE(one->shared()->take_turn());
  EXPECT_TRUE(append_tenant(*two, 1, "two")) << "after three seconds";
  const Status late = append_tenant(*one, 1, "one");
  EXPECT_FALSE(late);
  EXPECT_EQ(text_of(*two->read(0, 10)), "1:two=pro");
}

void expect_heard(const std::string& conninfo, bool notify) {
  auto one = loaded(conninfo, notify);
  auto two = loaded(conninfo, notify);
  std::atomic<int> heard = 0;
  two->shared()->follow([&] {
    ++heard;
    heard.notify_all();
  });
  one->shared()->follow([] {});
  ASSERT_TRUE(append_tenant(*one, 1, "one"));
  heard.wait(0);
  EXPECT_EQ(text_of(*two->read(0, 10)), "1:one=pro");
}
TEST_F(PostgresLogTest, OthersHearOfAnAppend) { expect_heard(conninfo_, true); }
TEST_F(PostgresLogTest, OthersHearOfAnAppendByPollingAlone) { expect_heard(conninfo_, false); }

TEST_F(PostgresLogTest, ManyServersStartOnAnEmptyDatabaseAtOnce) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto log = open_postgres_log(conninfo_);
      ASSERT_TRUE(log) << log.error().text();
      EXPECT_TRUE((*log)->load());
    });
}

TEST_F(PostgresLogTest, ADatabaseOfANewerProgramIsRefused) {
  open_or_die(conninfo_).reset();
  ASSERT_TRUE(
      Postgres::connect(conninfo_)->run("UPDATE frameworks.schema_version SET version = 99"));
  const auto log = open_postgres_log(conninfo_);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(log.error().message().find("version 99"), std::string::npos);
}

TEST_F(PostgresLogTest, AServerThatIsUpStopsWritingWhenANewerProgramSaysSo) {
  auto log = loaded(conninfo_);
  ASSERT_TRUE(append_tenant(*log, 1, "a"));
  ASSERT_TRUE(Postgres::connect(conninfo_)->run("UPDATE frameworks.head SET least_writer = 99"));
  const Status refused = append_tenant(*log, 2, "a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition) << refused.error().text();
  EXPECT_EQ(text_of(*log->read(0, 10)), "1:a=pro") << "reads go on";
}

TEST_F(PostgresLogTest, ALogThatWentBackIsToldAndNotWrittenOver) {
  auto log = loaded(conninfo_);
  for (Revision r = 1; r <= 3; ++r) ASSERT_TRUE(append_tenant(*log, r, "a"));
  ASSERT_TRUE(
      Postgres::connect(conninfo_)->run("DELETE FROM frameworks.changes WHERE revision > 1; UPDATE "
                                        "frameworks.head SET revision = 1"));
  const Status refused = append_tenant(*log, 4, "a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
}

TEST_F(PostgresLogTest, SessionsThatTheServerEndsAreReplaced) {
  auto log = loaded(conninfo_);
  ASSERT_TRUE(append_tenant(*log, 1, "a"));
  const auto cut = [&] {
    ASSERT_TRUE(Postgres::connect(shared_postgres()->conninfo("postgres"))
                    ->run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                          "WHERE datname LIKE 'fleet%' AND pid <> pg_backend_pid()"));
  };
  cut();
  EXPECT_TRUE(append_tenant(*log, 2, "a"));
  cut();
  EXPECT_EQ(text_of(*log->read(0, 10)), "1:a=pro 2:a=pro");
}

TEST_F(PostgresLogTest, TwoThatCompactAtOnceDoNotDisturbEachOther) {
  auto one = loaded(conninfo_);
  for (Revision r = 1; r <= 50; ++r) ASSERT_TRUE(append_tenant(*one, r, std::to_string(r % 5)));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&, i] {
        const Status done = open_or_die(conninfo_)->compact(30 + i);
        EXPECT_TRUE(done) << done.error().text();
      });
  }
  EXPECT_EQ(text_of(*loaded(conninfo_)->load()), "50: 0=pro 1=pro 2=pro 3=pro 4=pro");
  EXPECT_EQ(one->read(32, 10).error().code(), Code::kOutOfRange);
  EXPECT_TRUE(one->read(33, 10));
}

TEST_F(PostgresLogTest, ServersSeeEachOthersBeats) {
  auto one = open_or_die(conninfo_);
  auto two = open_or_die(conninfo_);
  ASSERT_TRUE(one->shared()->enter("one", "i1"));
  ASSERT_TRUE(two->shared()->enter("two", "i2"));
  const auto seen = one->shared()->beat("one", "i1", std::string("\0bytes", 6));
  ASSERT_TRUE(seen) << seen.error().text();
  ASSERT_EQ(seen->size(), 2u);
  EXPECT_EQ(seen->at(0).report, std::string("\0bytes", 6));
  EXPECT_EQ(seen->at(0).beat, 2);
  ASSERT_TRUE(one->shared()->enter("two", "i3")) << "a process that was started again";
  EXPECT_EQ(two->shared()->beat("two", "i2", "").error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(two->shared()->leave("two", "i2")) << "of the other, not its own";
  EXPECT_EQ(one->shared()->beats()->size(), 2u);
  ASSERT_TRUE(one->shared()->leave("two", "i3"));
  EXPECT_EQ(one->shared()->beats()->size(), 1u);
}

TEST_F(PostgresLogTest, WhatIsKeptIsTheFirstThatWasGiven) {
  auto log = open_or_die(conninfo_);
  EXPECT_EQ(*log->shared()->kept("ca"), "");
  EXPECT_EQ(*log->shared()->keep("ca", "one"), "one");
  EXPECT_EQ(*log->shared()->keep("ca", "two"), "one");
}

TEST(Postgres, PasswordsAreSeenAndTakenOut) {
  const std::string uri = "postgresql://fleet:s3cret@db-1:5433,db-2/fleet?sslmode=require";
  EXPECT_TRUE(has_password(uri));
  EXPECT_EQ(*without_password(uri), "postgresql://fleet@db-1:5433,db-2/fleet");
  EXPECT_TRUE(has_password("host=db password='s3 cret'"));
  EXPECT_EQ(*without_password("host=db password='s3 cret' dbname=f"), "postgresql://db/f");
  EXPECT_FALSE(has_password("postgresql://fleet@db-1/fleet?passfile=/etc/frameworks/pgpass"));
  const auto broken = without_password("postgresql://fleet:s3cret@[db/fleet");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().message().find("s3cret"), std::string::npos);
}

TEST(Postgres, SqlStatesHaveMeanings) {
  const std::pair<const char*, Code> expected[] = {{"", Code::kUnavailable},
                                                   {"08006", Code::kUnavailable},
                                                   {"40001", Code::kAborted},
                                                   {"40P01", Code::kAborted},
                                                   {"40003", Code::kUnavailable},
                                                   {"25006", Code::kUnavailable},
                                                   {"53100", Code::kResourceExhausted},
                                                   {"57P01", Code::kUnavailable},
                                                   {"28P01", Code::kPermissionDenied},
                                                   {"42P01", Code::kInternal},
                                                   {"XX001", Code::kDataLoss}};
  for (const auto& [state, code] : expected) EXPECT_EQ(code_of_sqlstate(state), code) << state;
}

TEST(Postgres, NobodyThereIsRetryable) {
  const auto log = open_postgres_log("host=127.0.0.1 port=1 dbname=fleet");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace frameworks
