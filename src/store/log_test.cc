#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <sys/resource.h>
#include <csignal>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "store/fake_log.h"
#include "store/log_contract.h"
#include "store/old_versions.h"
#include "store/sqlite.h"
#include "store/sqlite_batch.h"
#include "store/stored.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Log> open_or_die(const std::string& path) {
  Result<std::unique_ptr<Log>> log = open_sqlite_log(path);
  EXPECT_TRUE(log) << log.error().text();
  return log ? *std::move(log) : nullptr;
}

struct SqlitePlace {
  TemporaryDirectory directory = *TemporaryDirectory::make();
  [[nodiscard]] std::string path() const { return directory.path() / "fleet.db"; }
  std::unique_ptr<Log> open() { return open_or_die(path()); }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, LogContract, SqlitePlace);

struct FakePlace {
  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  std::unique_ptr<Log> open() { return std::make_unique<FakeLog>(disk); }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, LogContract, FakePlace);

struct SharedPlace {
  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  std::unique_ptr<Log> open() { return std::make_unique<FakeSharedLog>(disk); }
};
INSTANTIATE_TYPED_TEST_SUITE_P(FakeShared, LogContract, SharedPlace);

struct HarmlessPlace {
  FakePlace inner;
  std::unique_ptr<Log> open() {
    return std::make_unique<FaultyLog>(inner.open(), std::make_shared<FaultyLog::Faults>());
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(FaultyWithoutFaults, LogContract, HarmlessPlace);

Status append_tenant(Log& log, Revision revision, const std::string& plan) {
  const std::vector<Change> changes = {tenant_change(revision, "a", plan)};
  return log.append(changes, audit_rows(changes));
}

TEST(SqliteLog, OneInMemoryIsAsGoodAsAFileUntilItIsClosed) {
  auto log = open_or_die(":memory:");
  ASSERT_TRUE(log->load());
  ASSERT_TRUE(append_tenant(*log, 1, "free"));
  ASSERT_TRUE(log->compact(1));
  ASSERT_TRUE(append_tenant(*log, 2, "pro"));
  EXPECT_EQ(text_of(*log->read(1, 10)), "2:a=pro");
  auto another = open_or_die(":memory:");
  EXPECT_EQ(text_of(*another->load()), "0:");
}

TEST(SqliteLog, ASecondServerOnTheSameFileIsRefused) {
  SqlitePlace place;
  auto log = place.open();
  const auto second = open_sqlite_log(place.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(second.error().message().find("another server"), std::string::npos);
  log.reset();
  EXPECT_TRUE(open_sqlite_log(place.path()));
}

TEST(SqliteLog, FilesThatAreNotOursAreRefusedAndLeftAlone) {
  SqlitePlace place;
  ASSERT_TRUE(write_file(place.path(), "this is no database, and long enough to be looked at: " +
                                           std::string(500, 'x')));
  const auto text = open_sqlite_log(place.path());
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code(), Code::kDataLoss);

  const std::string other = place.directory.path() / "other.db";
  ASSERT_TRUE(Sqlite::open(other)->execute("CREATE TABLE recipes (name TEXT)"));
  const auto foreign = open_sqlite_log(other);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(*Sqlite::open(other)->number("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST(SqliteLog, AFileOfANewerProgramIsRefused) {
  SqlitePlace place;
  place.open().reset();
  ASSERT_TRUE(Sqlite::open(place.path())->execute("PRAGMA user_version = 99"));
  const auto log = open_sqlite_log(place.path());
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), Code::kFailedPrecondition);
}

TEST(SqliteLog, AnUnknownKindIsToldInsteadOfDropped) {
  SqlitePlace place;
  place.open().reset();
  std::string entries;
  append_entry(entries, {.position = first_position(1), .kind = "Spaceship", .name = "a"});
  ASSERT_TRUE(Sqlite::open(place.path())
                  ->execute(fmt::format("INSERT INTO changes VALUES ({}, x'{}')", first_position(1),
                                        hex_encode(entries))
                                .c_str()));
  const auto loaded = place.open()->load();
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message().find("Spaceship"), std::string::npos);
}

// Of more than is put together at once, in one transaction and after it.
TEST(SqliteLog, CompactionOfVeryManyBytesEndsAtTheSameFleet) {
  SqlitePlace place;
  auto log = place.open();
  ASSERT_TRUE(log->load());
  const std::string large(1 << 20, 'x');
  std::vector<Change> changes;
  for (int i = 0; i < 40; ++i)
    changes.push_back(tenant_change(1, fmt::format("t{}", i), large + std::to_string(i)));
  ASSERT_TRUE(log->append(changes, audit_rows(changes)));
  EXPECT_EQ(log->read(0, 1)->size(), 40u);
  for (Revision r = 2; r <= 20; ++r) {
    const std::vector<Change> more = {tenant_change(r, "t7", large + std::to_string(r)),
                                      tenant_change(r, fmt::format("t{}", 10 + r), "")};
    ASSERT_TRUE(log->append(more, audit_rows(more)));
  }
  const std::string before = sha256_hex(text_of(*log->load()));
  ASSERT_TRUE(log->compact(15));
  EXPECT_EQ(log->read(15, 100)->size(), 10u);
  EXPECT_EQ(*Sqlite::open(place.path())
                 ->number("SELECT value FROM marks WHERE name = 'objects_revision'"),
            20);
  log.reset();
  const auto loaded = *place.open()->load();
  EXPECT_EQ(sha256_hex(text_of(loaded)), before);
  EXPECT_EQ(loaded.time(), tenant_change(20, "t7", "").time);
}

TEST(SqliteLog, AFileOfVersion2KeepsEverything) {
  SqlitePlace place;
  constexpr Revision kLast = 900;
  std::vector<Change> changes;
  for (Revision r = 1; r <= kLast; ++r) {
    changes.push_back(tenant_change(r, "a", r % 10 == 0 ? "" : std::to_string(r)));
    changes.push_back(tenant_change(r, fmt::format("b{}", r % 7), std::string(700, 'x')));
  }
  const std::vector<AuditRow> audit = audit_rows(changes);
  std::string rows = "BEGIN;";
  for (size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    const std::string message =
        change.after ? fmt::format("x'{}'", hex_encode(change.after.message().SerializeAsString()))
                     : "NULL";
    if (change.revision > 100)
      rows += fmt::format("INSERT INTO changes VALUES ({}, {}, '{}', '{}', '{}', '{}', {});",
                          audit[i].position, to_us(change.time), change.actor.name, change.key.kind,
                          change.key.tenant, change.key.name, message);
    if (change.revision <= 100 && change.after)
      rows += fmt::format("INSERT OR REPLACE INTO objects VALUES ('{}', '{}', '{}', {});",
                          change.key.kind, change.key.tenant, change.key.name, message);
    rows += fmt::format("INSERT INTO audit VALUES ({}, x'{}', x'{}');", audit[i].position,
                        hex_encode(audit[i].record), hex_encode(audit[i].hash));
  }
  rows += "UPDATE marks SET value = 100 WHERE name != 'objects_time_us'; COMMIT";
  ASSERT_TRUE(
      Sqlite::open(place.path())->execute((std::string(kVersion1) + kVersion2 + rows).c_str()));
  changes.erase(changes.begin(), changes.begin() + 200);
  for (int time = 0; time < 2; ++time) {
    auto log = place.open();
    const auto loaded = log->load();
    ASSERT_TRUE(loaded) << loaded.error().text();
    EXPECT_EQ(loaded->revision(), kLast);
    EXPECT_EQ(loaded->time(), changes.back().time);
    EXPECT_EQ(loaded->count(kind_of<pb::Tenant>()), 7u);
    EXPECT_EQ(text_of(*log->read(100, 10'000)), text_of(changes));
    EXPECT_EQ(log->read(99, 1).error().code(), Code::kOutOfRange);
    EXPECT_EQ(*log->read_audit({}, 10'000), audit);
    EXPECT_EQ(*Sqlite::open(place.path())->number("PRAGMA user_version"), 3);
  }
  auto log = place.open();
  ASSERT_TRUE(log->load());
  ASSERT_TRUE(append_tenant(*log, kLast + 1, "pro"));
  ASSERT_TRUE(log->compact(kLast));
  log.reset();
  EXPECT_EQ(place.open()->load()->find<pb::Tenant>("a")->spec().plan(), "pro");
}

// The WAL as a power cut may leave it: cut off or overwritten at any byte. What is there must be a
// prefix of what was written, whole transactions only.
TEST(SqliteLog, ATornWalIsAPrefixOfWholeTransactions) {
  SqlitePlace place;
  auto log = place.open();
  ASSERT_TRUE(log->load());
  constexpr Revision kLast = 40;
  for (Revision r = 1; r <= kLast; ++r) {
    const std::vector<Change> changes = {tenant_change(r, "a", std::to_string(r)),
                                         tenant_change(r, "b", std::to_string(r))};
    ASSERT_TRUE(log->append(changes, audit_rows(changes)));
  }
  const std::string database = *read_file(place.path());
  const std::string wal = *read_file(place.path() + "-wal");
  Revision most = 0;
  for (size_t cut = 0; cut < wal.size(); cut += 1'777) {
    SqlitePlace copy;
    ASSERT_TRUE(write_file(copy.path(), database));
    std::string torn = wal.substr(0, cut);
    if (cut % 2 == 0) torn += std::string(wal.size() - cut, '\x5a');  // overwritten, not cut off
    ASSERT_TRUE(write_file(copy.path() + "-wal", torn));
    auto log_after = open_sqlite_log(copy.path());
    ASSERT_TRUE(log_after) << log_after.error().text();
    const auto loaded = (*log_after)->load();
    ASSERT_TRUE(loaded) << loaded.error().text();
    const Revision r = loaded->revision();
    EXPECT_EQ(text_of(*loaded), r == 0 ? "0:" : fmt::format("{0}: a={0} b={0}", r)) << cut;
    EXPECT_EQ((*log_after)->read_audit({}, 1'000)->size(), static_cast<size_t>(2 * r)) << cut;
    EXPECT_GE(r, most) << "a longer remainder had less in it";
    if (cut % 2 == 1) most = std::max(most, r);
  }
  EXPECT_GT(most, kLast / 2);
}

TEST(SqliteLog, TheWalStaysBoundedUnderWrites) {
  SqlitePlace place;
  auto log = place.open();
  ASSERT_TRUE(log->load());
  for (Revision r = 1; r <= 6'000; ++r) ASSERT_TRUE(append_tenant(*log, r, std::to_string(r)));
  // 6,000 commits write 48 MB and more; what remains is a few times what triggers the move.
  EXPECT_LT(fs::file_size(place.path() + "-wal"), size_t{20} << 20);
}

// A limit on the size of files stands for the full disk: writes past it fail.
class FileLimit {
 public:
  FileLimit() : handler_(std::signal(SIGXFSZ, SIG_IGN)) { getrlimit(RLIMIT_FSIZE, &before_); }
  ~FileLimit() {
    lift();
    std::signal(SIGXFSZ, handler_);
  }
  void set(size_t bytes) const {
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  void lift() const { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST(SqliteLog, AFullDiskRefusesAppendsAndSpaceBringsThemBack) {
  SqlitePlace place;
  auto log = place.open();
  ASSERT_TRUE(log->load());
  ASSERT_TRUE(append_tenant(*log, 1, "free"));
  const FileLimit limit;
  limit.set(fs::file_size(place.path() + "-wal"));
  const Status refused = append_tenant(*log, 2, std::string(100'000, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(is_retryable(refused.error().code())) << refused.error().text();
  EXPECT_EQ(text_of(*log->read(0, 10)), "1:a=free");
  limit.lift();
  ASSERT_TRUE(append_tenant(*log, 2, "pro"));
  log = nullptr;
  log = place.open();
  EXPECT_EQ(text_of(*log->load()), "2: a=pro");
}

}  // namespace
}  // namespace frameworks
