// The log in one SQLite file.
//
// append() writes log rows only, a few for all that it is given, in one transaction with
// synchronous=FULL, on its own connection. Two things happen beside it, on another connection and
// never for long at a time: a thread moves the WAL into the file, and compact() brings `objects` up
// to date and forgets old changes.
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
#include "model/snapshot_loader.h"
#include "store/log.h"
#include "store/sqlite_batch.h"
#include "store/sqlite_compaction.h"
#include "store/sqlite_schema.h"
#include "store/stored.h"
#include "store/write_turn.h"

namespace frameworks {
namespace {

// The WAL is moved into the file when it has grown by this many pages (4 MiB).
constexpr int kWalPages = 1024;
// What is left of that to move while the appends wait: a few tenths of a millisecond, most of it
// the disk's; and how often is tried to leave no more.
constexpr int kFewPages = 8;
constexpr int kMostRounds = 6;

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
        insert_changes_(std::move(insert)),
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
  Status insert(SqliteStatement& insert, int64_t position, std::string& blob);
  Status insert_changes(std::span<const Change> changes);
  Status insert_audit(std::span<const AuditRow> rows);

  static int on_wal(void* self, sqlite3*, const char*, int pages);
  void move_wal(const std::stop_token& stop);
  Status move_wal_once();
  Result<int> move_pages();

  Fd lock_;
  WriteTurn turn_;

  Sqlite append_;
  std::string blob_;
  Revision newest_ = 0;

  std::mutex read_mutex_;
  Sqlite read_;

  std::mutex upkeep_mutex_;
  Sqlite upkeep_;

  SqliteStatement insert_changes_;
  SqliteStatement insert_audit_;

  std::mutex wal_mutex_;
  std::condition_variable_any wal_grown_;
  int wal_pages_ = 0;
  int move_at_ = kWalPages;
  std::jthread wal_mover_;
};

Result<Snapshot> SqliteLog::load() {
  ASSIGN_OR_RETURN(newest_, get_mark(append_, "objects_revision"));
  ASSIGN_OR_RETURN(int64_t time, get_mark(append_, "objects_time_us"));
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
  RETURN_IF_ERROR(read_changes(append_, first_position(newest_ + 1),
                               [&](const ChangeEntry& entry) -> Result<bool> {
                                 ASSIGN_OR_RETURN(Change change, parse_change(entry));
                                 newest_ = change.revision;
                                 time = entry.time_us;
                                 if (change.after) {
                                   snapshot.put_packed(change.after, entry.message);
                                 } else {
                                   snapshot.remove(change.key);
                                 }
                                 return true;
                               }));
  snapshot.set_revision(newest_, from_us(time));
  return snapshot;
}

// The blob as a row; it is empty then.
Status SqliteLog::insert(SqliteStatement& insert, int64_t position, std::string& blob) {
  if (blob.empty()) return {};
  const Status done = insert.bind(1, position).bind_bytes(2, blob).run();
  blob.clear();
  if (blob.capacity() > 4 * kBatchBytes) blob.shrink_to_fit();
  return done;
}

Status SqliteLog::insert_changes(std::span<const Change> changes) {
  Revision revision = newest_;
  int64_t place = 0;
  int64_t first = 0;
  blob_.clear();
  for (const Change& change : changes) {
    place = change.revision == revision ? place + 1 : 0;
    if (change.revision < revision || change.revision == newest_)
      return Error(Code::kFailedPrecondition,
                   fmt::format("revision {} does not follow {}", change.revision, revision));
    if (place >> kPlaceBits != 0)
      return Error(Code::kInvalidArgument,
                   fmt::format("more than {} changes in one transaction", 1 << kPlaceBits));
    revision = change.revision;
    const int64_t position = first_position(revision) + place;
    if (blob_.empty()) first = position;
    append_entry(blob_, position, change);
    if (blob_.size() < kBatchBytes) continue;
    RETURN_IF_ERROR(insert(insert_changes_, first, blob_));
  }
  return insert(insert_changes_, first, blob_);
}

Status SqliteLog::insert_audit(std::span<const AuditRow> rows) {
  int64_t first = 0;
  blob_.clear();
  for (const AuditRow& row : rows) {
    if (blob_.empty()) first = row.position;
    append_entry(blob_, row);
    if (blob_.size() < kBatchBytes) continue;
    RETURN_IF_ERROR(insert(insert_audit_, first, blob_));
  }
  return insert(insert_audit_, first, blob_);
}

Status SqliteLog::append(std::span<const Change> changes, std::span<const AuditRow> audit) {
  const WriteTurn::Hold turn = turn_.for_append();
  ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(append_));
  RETURN_IF_ERROR(insert_changes(changes));
  RETURN_IF_ERROR(insert_audit(audit));
  RETURN_IF_ERROR(write.commit());
  if (!changes.empty()) newest_ = changes.back().revision;
  return {};
}

Result<std::vector<Change>> SqliteLog::read(Revision after, size_t limit) {
  std::lock_guard lock(read_mutex_);
  std::vector<Change> out;
  size_t revisions = 0;
  RETURN_IF_ERROR(
      read_changes(read_, first_position(after + 1), [&](const ChangeEntry& entry) -> Result<bool> {
        if (out.empty() || revision_of(entry.position) != out.back().revision) ++revisions;
        if (revisions > limit) return false;
        ASSIGN_OR_RETURN(Change change, parse_change(entry));
        out.push_back(std::move(change));
        return true;
      }));
  // Asked last: compact() raises the mark before it takes anything away, so that what was read
  // under an older mark is whole.
  ASSIGN_OR_RETURN(const Revision forgotten, get_mark(read_, "forgotten"));
  if (after < forgotten)
    return Error(Code::kOutOfRange,
                 fmt::format("changes up to revision {} are forgotten, asked for those after {}: "
                             "start again from the present",
                             forgotten, after));
  return out;
}

Status SqliteLog::compact(Revision upto) {
  std::lock_guard lock(upkeep_mutex_);
  ASSIGN_OR_RETURN(const Revision done, update_objects(upkeep_, turn_));
  return forget_changes(upkeep_, turn_, std::min(upto, done));
}

Result<std::vector<AuditRow>> SqliteLog::read_audit(const AuditRange& range, size_t limit) {
  std::lock_guard lock(read_mutex_);
  return read_audit_rows(read_, range, limit);
}

Status SqliteLog::cut_audit(int64_t position) {
  std::lock_guard lock(upkeep_mutex_);
  return cut_audit_rows(upkeep_, turn_, position);
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
    {
      std::unique_lock lock(wal_mutex_);
      if (!wal_grown_.wait(lock, stop, [this] { return wal_pages_ >= move_at_; })) return;
      // Should it not get to the end (somebody reads an old state), the next try is after as much
      // again.
      move_at_ = wal_pages_ + kWalPages;
    }
    if (const Status moved = move_wal_once(); !moved)
      spdlog::warn("store: {}", moved.error().message());
  }
}

// Nearly all of it beside the appends, in rounds, each with what came during the one before; then
// the little that is left with the appends held up, so that the next one starts the WAL again from
// its beginning.
Status SqliteLog::move_wal_once() {
  std::lock_guard lock(upkeep_mutex_);
  for (int round = 0; round < kMostRounds; ++round) {
    ASSIGN_OR_RETURN(const int moved, move_pages());
    std::lock_guard wal(wal_mutex_);
    if (wal_pages_ - moved <= kFewPages) break;
  }
  const WriteTurn::Hold turn = turn_.for_upkeep();
  const auto last = move_pages();
  return last ? Status() : last.error();
}

// Gives how many pages of the WAL are in the file then.
Result<int> SqliteLog::move_pages() {
  int moved = 0;
  const int result = sqlite3_wal_checkpoint_v2(upkeep_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                               nullptr, &moved);
  if (result != SQLITE_OK && result != SQLITE_BUSY)
    return Error(Code::kUnavailable, fmt::format("moving the WAL: {}", sqlite3_errstr(result)));
  return moved;
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
                   append.prepare("INSERT INTO changes (position, entries) VALUES (?, ?)"));
  ASSIGN_OR_RETURN(SqliteStatement insert_audit,
                   append.prepare("INSERT INTO audit (position, entries) VALUES (?, ?)"));
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
