// The log in one SQLite file.
//
// append() writes log rows only, in one transaction with synchronous=FULL, on its own connection.
// Two things happen beside it, on another connection and never for long at a time: a thread moves
// the WAL into the file, and compact() brings `objects` up to date and forgets old changes.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "model/registry.h"
#include "model/snapshot_loader.h"
#include "store/log.h"
#include "store/sqlite_schema.h"
#include "store/stored.h"
#include "store/write_turn.h"

namespace frameworks {
namespace {

// The WAL is moved into the file when it has grown by this many pages (4 MiB).
constexpr int kWalPages = 1024;
// Rows that upkeep writes while an append may be waiting: about two milliseconds.
constexpr size_t kUpkeepRows = 256;

constexpr std::string_view kChangeColumns = "position, time_us, actor, kind, tenant, name, message";

Result<Change> parse_change(const SqliteStatement& row) {
  Change change;
  change.revision = revision_of(row.integer(0));
  change.time = from_us(row.integer(1));
  change.actor = std::string(row.text(2));
  change.key = {std::string(row.text(3)), std::string(row.text(4)), std::string(row.text(5))};
  if (!row.is_null(6)) {
    ASSIGN_OR_RETURN(change.after, parse_resource(row.text(3), row.text(5), row.bytes(6)));
  }
  return change;
}

Result<int64_t> mark(Sqlite& connection, std::string_view name) {
  return connection.number(fmt::format("SELECT value FROM marks WHERE name = '{}'", name));
}
Status set_mark(Sqlite& connection, std::string_view name, int64_t value) {
  return connection.execute(
      fmt::format("UPDATE marks SET value = {} WHERE name = '{}'", value, name).c_str());
}

struct Connections {
  Fd lock;
  Sqlite append;
  Sqlite read;
  Sqlite upkeep;
};

class SqliteLog final : public Log {
 public:
  SqliteLog(Connections connections, SqliteStatement insert, SqliteStatement insert_audit)
      : lock_(std::move(connections.lock)),
        append_(std::move(connections.append)),
        read_(std::move(connections.read)),
        upkeep_(std::move(connections.upkeep)),
        insert_(std::move(insert)),
        insert_audit_(std::move(insert_audit)) {
    sqlite3_wal_hook(append_.handle(), &SqliteLog::on_wal, this);
    wal_mover_ = std::jthread([this](const std::stop_token& stop) { move_wal(stop); });
  }
  ~SqliteLog() override {
    wal_mover_.request_stop();
    wal_mover_.join();
  }

  Result<Snapshot> load() override;
  Status append(std::span<const Change> changes, std::span<const AuditRow> audit) override;
  Result<std::vector<Change>> read(Revision after, size_t limit) override;
  Status compact(Revision upto) override;
  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) override;
  Status cut_audit(int64_t position) override;

 private:
  // What compact() writes into `objects`: the last change of each resource.
  struct Last {
    int64_t position;
    bool deleted;
  };
  Result<std::vector<Last>> last_changes(int64_t from, int64_t to);
  Status update_objects(std::span<const Last> rows);
  Status forget(Revision upto);
  Status insert_change(int64_t position, const Change& change);

  static int on_wal(void* self, sqlite3*, const char*, int pages);
  void move_wal(const std::stop_token& stop);
  Status move_wal_once(int pages);

  Fd lock_;
  WriteTurn turn_;

  Sqlite append_;
  std::string scratch_;
  Revision newest_ = 0;

  std::mutex read_mutex_;
  Sqlite read_;

  std::mutex upkeep_mutex_;
  Sqlite upkeep_;

  SqliteStatement insert_;
  SqliteStatement insert_audit_;

  std::mutex wal_mutex_;
  std::condition_variable_any wal_grown_;
  int wal_pages_ = 0;
  int move_at_ = kWalPages;
  std::jthread wal_mover_;
};

Result<Snapshot> SqliteLog::load() {
  ASSIGN_OR_RETURN(newest_, mark(append_, "objects_revision"));
  ASSIGN_OR_RETURN(int64_t time, mark(append_, "objects_time_us"));
  ASSIGN_OR_RETURN(SqliteStatement objects,
                   append_.prepare("SELECT kind, tenant, name, message FROM objects"));
  SnapshotLoader loader;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, objects.step());
    if (!row) break;
    RETURN_IF_ERROR(
        loader.add(objects.text(0), objects.text(1), objects.text(2), objects.bytes(3)));
  }
  ASSIGN_OR_RETURN(Snapshot snapshot, loader.finish());
  ASSIGN_OR_RETURN(
      SqliteStatement changes,
      append_.prepare(fmt::format("SELECT {} FROM changes WHERE position >= ? ORDER BY position",
                                  kChangeColumns)));
  changes.bind(1, first_position(newest_ + 1));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, changes.step());
    if (!row) break;
    ASSIGN_OR_RETURN(Change change, parse_change(changes));
    newest_ = change.revision;
    time = to_us(change.time);
    if (change.after) {
      snapshot.put(std::move(change.after));
    } else {
      snapshot.remove(change.key);
    }
  }
  snapshot.set_revision(newest_, from_us(time));
  return snapshot;
}

Status SqliteLog::insert_change(int64_t position, const Change& change) {
  insert_.bind(1, position)
      .bind(2, to_us(change.time))
      .bind(3, change.actor.name)
      .bind(4, change.key.kind)
      .bind(5, change.key.tenant)
      .bind(6, change.key.name);
  if (change.after) {
    scratch_.clear();
    CHECK(change.after.message().AppendToString(&scratch_));
    insert_.bind_bytes(7, scratch_);
  } else {
    insert_.bind_null(7);
  }
  return insert_.run();
}

Status SqliteLog::append(std::span<const Change> changes, std::span<const AuditRow> audit) {
  const WriteTurn::Hold turn = turn_.for_append();
  ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(append_));
  Revision revision = newest_;
  int64_t place = 0;
  for (const Change& change : changes) {
    place = change.revision == revision ? place + 1 : 0;
    if (change.revision < revision || change.revision == newest_)
      return Error(Code::kFailedPrecondition,
                   fmt::format("revision {} does not follow {}", change.revision, revision));
    if (place >> kPlaceBits != 0)
      return Error(Code::kInvalidArgument,
                   fmt::format("more than {} changes in one transaction", 1 << kPlaceBits));
    revision = change.revision;
    RETURN_IF_ERROR(insert_change(first_position(revision) + place, change));
  }
  for (const AuditRow& row : audit) {
    insert_audit_.bind(1, row.position).bind_bytes(2, row.record).bind_bytes(3, row.hash);
    RETURN_IF_ERROR(insert_audit_.run());
  }
  RETURN_IF_ERROR(write.commit());
  newest_ = revision;
  return {};
}

Result<std::vector<Change>> SqliteLog::read(Revision after, size_t limit) {
  std::lock_guard lock(read_mutex_);
  std::vector<Change> out;
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      read_.prepare(fmt::format("SELECT {} FROM changes WHERE position >= ? ORDER BY position",
                                kChangeColumns)));
  rows.bind(1, first_position(after + 1));
  size_t revisions = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) break;
    if (out.empty() || revision_of(rows.integer(0)) != out.back().revision) ++revisions;
    if (revisions > limit) break;
    ASSIGN_OR_RETURN(Change change, parse_change(rows));
    out.push_back(std::move(change));
  }
  rows.reset();
  // Asked last: compact() raises the mark before it takes anything away, so that what was read
  // under an older mark is whole.
  ASSIGN_OR_RETURN(const Revision forgotten, mark(read_, "forgotten"));
  if (after < forgotten)
    return Error(Code::kOutOfRange,
                 fmt::format("changes up to revision {} are forgotten, asked for those after {}: "
                             "start again from the present",
                             forgotten, after));
  return out;
}

Result<std::vector<SqliteLog::Last>> SqliteLog::last_changes(int64_t from, int64_t to) {
  // Columns beside max() are those of the row that has the maximum.
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      upkeep_.prepare("SELECT max(position), message IS NULL FROM changes "
                      "WHERE position >= ? AND position < ? GROUP BY kind, tenant, name"));
  rows.bind(1, from).bind(2, to);
  std::vector<Last> out;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) return out;
    out.push_back({rows.integer(0), rows.integer(1) != 0});
  }
}

Status SqliteLog::update_objects(std::span<const Last> rows) {
  ASSIGN_OR_RETURN(
      SqliteStatement put,
      upkeep_.prepare("INSERT INTO objects SELECT kind, tenant, name, message "
                      "FROM changes WHERE position = ? "
                      "ON CONFLICT (kind, tenant, name) DO UPDATE SET message = excluded.message"));
  ASSIGN_OR_RETURN(SqliteStatement remove,
                   upkeep_.prepare("DELETE FROM objects WHERE (kind, tenant, name) = "
                                   "(SELECT kind, tenant, name FROM changes WHERE position = ?)"));
  while (!rows.empty()) {
    const auto part = rows.first(std::min(kUpkeepRows, rows.size()));
    const WriteTurn::Hold turn = turn_.for_upkeep();
    ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(upkeep_));
    for (const Last& row : part)
      RETURN_IF_ERROR((row.deleted ? remove : put).bind(1, row.position).run());
    RETURN_IF_ERROR(write.commit());
    rows = rows.subspan(part.size());
  }
  return {};
}

Status SqliteLog::compact(Revision upto) {
  std::lock_guard lock(upkeep_mutex_);
  ASSIGN_OR_RETURN(const Revision done, mark(upkeep_, "objects_revision"));
  const Result<int64_t> newest =
      upkeep_.number("SELECT position FROM changes ORDER BY position DESC LIMIT 1");
  if (!newest) return newest.error().code() == Code::kNotFound ? Status() : newest.error();
  const Revision target = revision_of(*newest);
  if (target > done) {
    ASSIGN_OR_RETURN(const std::vector<Last> rows,
                     last_changes(first_position(done + 1), first_position(target + 1)));
    // Rows of `objects` may for a while be newer than `objects_revision` says. The replay of load()
    // ends at the same state: each such row's last change comes after that revision.
    RETURN_IF_ERROR(update_objects(rows));
    ASSIGN_OR_RETURN(
        const int64_t time,
        upkeep_.number(fmt::format("SELECT time_us FROM changes WHERE position = {}", *newest)));
    const WriteTurn::Hold turn = turn_.for_upkeep();
    ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(upkeep_));
    RETURN_IF_ERROR(set_mark(upkeep_, "objects_revision", target));
    RETURN_IF_ERROR(set_mark(upkeep_, "objects_time_us", time));
    RETURN_IF_ERROR(write.commit());
  }
  return forget(std::min(upto, target));
}

Status SqliteLog::forget(Revision upto) {
  ASSIGN_OR_RETURN(const Revision forgotten, mark(upkeep_, "forgotten"));
  const Revision limit = std::max(upto, forgotten);
  if (limit > forgotten) {
    const WriteTurn::Hold turn = turn_.for_upkeep();
    RETURN_IF_ERROR(set_mark(upkeep_, "forgotten", limit));
  }
  ASSIGN_OR_RETURN(SqliteStatement remove,
                   upkeep_.prepare("DELETE FROM changes WHERE position IN (SELECT position FROM "
                                   "changes WHERE position < ? ORDER BY position LIMIT ?)"));
  remove.bind(1, first_position(limit + 1)).bind(2, static_cast<int64_t>(kUpkeepRows));
  while (true) {
    const WriteTurn::Hold turn = turn_.for_upkeep();
    RETURN_IF_ERROR(remove.run());
    if (sqlite3_changes(upkeep_.handle()) == 0) return {};
  }
}

Result<std::vector<AuditRow>> SqliteLog::read_audit(const AuditRange& range, size_t limit) {
  std::lock_guard lock(read_mutex_);
  ASSIGN_OR_RETURN(SqliteStatement rows,
                   read_.prepare(fmt::format("SELECT position, record, hash FROM audit "
                                             "WHERE position >= ? AND position < ? "
                                             "ORDER BY position {} LIMIT ?",
                                             range.newest_first ? "DESC" : "ASC")));
  rows.bind(1, range.from).bind(2, range.to).bind(3, static_cast<int64_t>(limit));
  std::vector<AuditRow> out;
  size_t bytes = 0;
  while (bytes < kAuditBytes) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) break;
    out.push_back({rows.integer(0), std::string(rows.bytes(1)), std::string(rows.bytes(2))});
    bytes += out.back().record.size();
  }
  return out;
}

Status SqliteLog::cut_audit(int64_t position) {
  std::lock_guard lock(upkeep_mutex_);
  // The last of the next part becomes the anchor; those before go with the anchor they had.
  const std::string last = fmt::format(
      "SELECT max(position) FROM (SELECT position FROM audit WHERE position < {} "
      "ORDER BY position LIMIT {})",
      position, kUpkeepRows);
  int64_t done = 0;
  while (true) {
    const WriteTurn::Hold turn = turn_.for_upkeep();
    ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(upkeep_));
    ASSIGN_OR_RETURN(const int64_t anchor, upkeep_.number(last));
    if (anchor == done) return {};
    RETURN_IF_ERROR(
        upkeep_.execute(fmt::format("DELETE FROM audit WHERE position < {0};"
                                    "UPDATE audit SET record = x'' WHERE position = {0}",
                                    anchor)
                            .c_str()));
    RETURN_IF_ERROR(write.commit());
    done = anchor;
  }
}

int SqliteLog::on_wal(void* self, sqlite3*, const char*, int pages) {
  auto& log = *static_cast<SqliteLog*>(self);
  {
    std::lock_guard lock(log.wal_mutex_);
    log.wal_pages_ = pages;
    if (pages < kWalPages) log.move_at_ = kWalPages;
    if (pages < log.move_at_) return SQLITE_OK;
  }
  log.wal_grown_.notify_one();
  return SQLITE_OK;
}

void SqliteLog::move_wal(const std::stop_token& stop) {
  while (true) {
    int pages = 0;
    {
      std::unique_lock lock(wal_mutex_);
      if (!wal_grown_.wait(lock, stop, [this] { return wal_pages_ >= move_at_; })) return;
      pages = wal_pages_;
      // Should it not get to the end (somebody reads an old state), the next try is after as much
      // again.
      move_at_ = pages + kWalPages;
    }
    if (const Status moved = move_wal_once(pages); !moved)
      spdlog::warn("store: {}", moved.error().message());
  }
}

Status SqliteLog::move_wal_once(int pages) {
  std::lock_guard lock(upkeep_mutex_);
  const auto move = [&]() -> Status {
    const int result = sqlite3_wal_checkpoint_v2(upkeep_.handle(), nullptr,
                                                 SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (result != SQLITE_OK && result != SQLITE_BUSY)
      return Error(Code::kUnavailable,
                   fmt::format("moving {} pages of the WAL: {}", pages, sqlite3_errstr(result)));
    return {};
  };
  // Nearly all of it beside the appends; then what came meanwhile with the appends held up, so that
  // the next one starts the WAL again from its beginning.
  RETURN_IF_ERROR(move());
  const WriteTurn::Hold turn = turn_.for_upkeep();
  return move();
}

// SQLite's own locks admit several processes; two servers on one fleet are a mistake.
Result<Fd> lock_file(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return errno_error(fmt::format("open {}", path));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} is locked: another server uses this state", path));
  return fd;
}

Result<std::unique_ptr<Log>> open_log(Fd lock, const std::string& name) {
  ASSIGN_OR_RETURN(Sqlite append, open_for_append(name));
  RETURN_IF_ERROR(prepare_schema(append));
  ASSIGN_OR_RETURN(Sqlite read, open_for_upkeep(name));
  ASSIGN_OR_RETURN(Sqlite upkeep, open_for_upkeep(name));
  ASSIGN_OR_RETURN(SqliteStatement insert,
                   append.prepare(fmt::format(
                       "INSERT INTO changes ({}) VALUES (?, ?, ?, ?, ?, ?, ?)", kChangeColumns)));
  ASSIGN_OR_RETURN(SqliteStatement insert_audit,
                   append.prepare("INSERT INTO audit (position, record, hash) VALUES (?, ?, ?)"));
  return std::make_unique<SqliteLog>(
      Connections{std::move(lock), std::move(append), std::move(read), std::move(upkeep)},
      std::move(insert), std::move(insert_audit));
}

}  // namespace

Result<std::unique_ptr<Log>> open_sqlite_log(const std::string& path) {
  if (path == ":memory:") return open_log({}, fmt::format("file:/{}?vfs=memdb", new_uuid()));
  ASSIGN_OR_RETURN(Fd lock, lock_file(path + "-lock"));
  Result<std::unique_ptr<Log>> log = open_log(std::move(lock), path);
  if (!log) return log.error().with_context(path);
  return log;
}

}  // namespace frameworks
