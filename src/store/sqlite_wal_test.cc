#include "store/sqlite_wal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "store/sqlite.h"

namespace frameworks {
namespace {

class SqliteWal : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(*TemporaryDirectory::make());
    writer_.emplace(*Sqlite::open(path(), wal_in_one_write()));
    reader_.emplace(*Sqlite::open(path()));
    run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0");
    run("CREATE TABLE t (number INTEGER PRIMARY KEY, bytes BLOB)");
  }
  [[nodiscard]] std::string path() const { return directory_->path() / "t.db"; }
  void run(const std::string& sql) {
    const Status done = writer_->execute(sql.c_str());
    ASSERT_TRUE(done) << sql << ": " << done.error().text();
  }
  // Rows from `from` on, each as many bytes.
  void insert(int from, int count, int bytes) {
    run(
        fmt::format("WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
                    "INSERT INTO t SELECT i, randomblob({}) FROM n",
                    from, from + count - 1, bytes));
  }
  // Ten rows, then 400 more in a transaction that is open and does not fit in the cache.
  void begin_large_transaction() {
    insert(0, 10, 5'000);
    run("PRAGMA cache_size = 10");
    run("BEGIN IMMEDIATE");
    insert(10, 400, 5'000);
  }
  static int64_t rows(Sqlite& connection) { return *connection.number("SELECT count(*) FROM t"); }
  static int64_t bytes(Sqlite& connection) {
    return *connection.number("SELECT coalesce(sum(length(bytes)), 0) FROM t");
  }

  std::optional<TemporaryDirectory> directory_;
  std::optional<Sqlite> writer_;
  std::optional<Sqlite> reader_;
};

TEST_F(SqliteWal, AnotherConnectionSeesEachCommitAtOnce) {
  for (int i = 0; i < 200; ++i) {
    insert(i, 1, 1 + i * 97 % 9'000);
    ASSERT_EQ(rows(*reader_), i + 1);
  }
  EXPECT_EQ(bytes(*reader_), bytes(*writer_));
}

TEST_F(SqliteWal, ATransactionThatDoesNotFitInMemoryReadsItself) {
  begin_large_transaction();
  run("UPDATE t SET bytes = randomblob(4000) WHERE number % 3 = 0");
  EXPECT_EQ(rows(*writer_), 410);
  EXPECT_EQ(bytes(*writer_), 137 * 4'000 + 273 * 5'000);
  EXPECT_EQ(rows(*reader_), 10);
  run("COMMIT");
  EXPECT_EQ(rows(*reader_), 410);
  EXPECT_EQ(*reader_->number("SELECT count(*) FROM pragma_integrity_check "
                             "WHERE integrity_check = 'ok'"),
            1);
}

TEST_F(SqliteWal, WhatIsRolledBackLeavesNothing) {
  begin_large_transaction();
  run("ROLLBACK");
  EXPECT_EQ(rows(*writer_), 10);
  insert(10, 5, 100);
  EXPECT_EQ(rows(*reader_), 15);
  writer_.reset();
  reader_.reset();
  Result<Sqlite> again = Sqlite::open(path());
  ASSERT_TRUE(again);
  EXPECT_EQ(rows(*again), 15);
}

TEST_F(SqliteWal, TheWalBeginsAgainAfterItWasMoved) {
  for (int round = 0; round < 5; ++round) {
    insert(round * 100, 100, 3'000);
    const auto size = std::filesystem::file_size(path() + "-wal");
    ASSERT_EQ(sqlite3_wal_checkpoint_v2(reader_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                        nullptr, nullptr),
              SQLITE_OK);
    EXPECT_EQ(rows(*reader_), (round + 1) * 100);
    EXPECT_LT(size, 1'000'000);
  }
  EXPECT_EQ(bytes(*reader_), 500 * 3'000);
}

}  // namespace
}  // namespace frameworks
