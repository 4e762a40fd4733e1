// The durable side of the store: an ordered, append-only log of changes with a current table.
//
// One thread of a process writes; the log need not be threadsafe except where said. With SQLite one
// process writes, with PostgreSQL any number. Both pass the same contract suite (log_contract.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/row.h"
#include "model/snapshot.h"

namespace frameworks {

// Who asks for a write, and where from.
struct Actor {
  Actor() = default;
  Actor(std::string actor_name, std::string from = {})
      : name(std::move(actor_name)), source(std::move(from)) {}
  Actor(const char* actor_name) : name(actor_name) {}

  std::string name;    // "account/admin", "node/core-1", "system/placement"
  std::string source;  // "grpc 10.0.0.7"; empty: the server itself
};

// What one transaction did to one resource. Who gets it from a Store finds both resources; a log is
// given some of them as rows only (unpack()).
struct Change {
  Revision revision = 0;  // of the transaction; all its changes share it
  WallTime time{};
  Actor actor;
  ResourceKey key;
  Resource before;  // empty: created
  Resource after;   // empty: deleted
  // The same with exact bytes (row.h), as in what a transaction just did, so that they need not be
  // made again; `before` and `after` may be empty then.
  RowRef before_row{};
  RowRef after_row{};

  [[nodiscard]] bool is_creation() const { return !before && !before_row; }
  [[nodiscard]] bool is_deletion() const { return !after && !after_row; }
  // Has no rows afterwards.
  void unpack() {
    if (before_row && !before) before = before_row->parse_anew();
    if (after_row && !after) after = after_row->parse_anew();
    before_row = after_row = {};
  }
};

// Rows of a log are keyed by revision and their place in it: revision * 2^20 + place.
inline constexpr int kPlaceBits = 20;
constexpr int64_t first_position(Revision revision) { return revision << kPlaceBits; }
constexpr Revision revision_of(int64_t position) { return position >> kPlaceBits; }
constexpr int64_t place_of(int64_t position) { return position & ((1 << kPlaceBits) - 1); }

// An entry of the audit log; audit_chain.h says what its bytes are. The log keeps them as given.
struct AuditRow {
  int64_t position = 0;  // that of its change
  std::string record;    // empty: an anchor, all before and itself were cut off, or never written
  std::string hash;      // 32 bytes

  bool operator==(const AuditRow&) const = default;
};
// Rows with from <= position < to.
struct AuditRange {
  int64_t from = 0;
  int64_t to = INT64_MAX;
  bool newest_first = false;
};

class SharedLog;

class Log {
 public:
  virtual ~Log() = default;
  // Everything that is current; also tells the newest revision. Called first, and again where what
  // read() would have to tell is forgotten.
  virtual Result<Snapshot> load() = 0;
  // Appends changes, and rows of the audit log, in one transaction; on disk when it returns. The
  // first change has the revision after the newest, and none is left out. kAborted: another server
  // was first, and nothing was written. Any other error does not tell whether it was: read() does.
  // kFailedPrecondition: the revisions do not follow what is there. kResourceExhausted: the disk is
  // full.
  virtual Status append(std::span<const Change> changes, std::span<const AuditRow> audit) = 0;
  // Up to `limit` revisions' changes after `after`, in order. kOutOfRange when some of them were
  // compacted. Threadsafe. Change::before is not filled.
  virtual Result<std::vector<Change>> read(Revision after, size_t limit) = 0;
  // Brings the current table up to date and forgets changes up to `upto`. Threadsafe; appends go on
  // beside it.
  virtual Status compact(Revision upto) = 0;
  // At most `limit` rows of the audit log, in order, and fewer when they are large (about 4 MiB in
  // all); none only when the range has none. Threadsafe. Compaction leaves them alone. A log that
  // was made before there was an audit log begins with an anchor at first_position(the revision it
  // had), with a hash of zeros.
  virtual Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) = 0;
  // Forgets the rows before `position`, a part at a time; of the newest of them the record only, so
  // that the log begins with an anchor at any time. Threadsafe; appends go on beside it.
  virtual Status cut_audit(int64_t position) = 0;
  // What several servers need of it (shared_log.h); null: nobody else can use this log.
  virtual SharedLog* shared() { return nullptr; }
};
// What read_audit() gives at most of a large log, but for the row that exceeds it.
inline constexpr size_t kAuditBytes = size_t{4} << 20;

// One file (and SQLite's own -wal and -shm beside it), locked against other processes:
// kFailedPrecondition when one has it. `path` ":memory:" keeps everything in memory (for tests).
Result<std::unique_ptr<Log>> open_sqlite_log(const std::string& path);

struct PostgresLogOptions {
  // Tell other servers of appends, and hear of theirs, by NOTIFY. Not needed; where the database
  // has none it is found out.
  bool notify = true;
  // How often the end of the log is looked at in any case.
  Duration poll = std::chrono::milliseconds(250);
  // Appends may leave out revisions: for a log that is filled from a copy, by one writer.
  bool gaps = false;
};
// A PostgreSQL database: a URI or "key=value ..." as libpq knows them, several hosts included.
// Makes the tables when there are none, brings older ones up to date. kUnavailable: nobody answers
// there. kFailedPrecondition: a newer program wrote it.
Result<std::unique_ptr<Log>> open_postgres_log(const std::string& conninfo,
                                               const PostgresLogOptions& options);
inline Result<std::unique_ptr<Log>> open_postgres_log(const std::string& conninfo) {
  return open_postgres_log(conninfo, {});
}

}  // namespace frameworks
