#include "store/sqlite_schema.h"

#include <fmt/format.h>

#include "store/sqlite_batch.h"
#include "store/sqlite_wal.h"

namespace frameworks {
namespace {

constexpr int64_t kApplicationId = 0x46'57'4c'31;  // "FWL1"
constexpr int64_t kVersion = 3;

// `changes` is the log: a row has what an append wrote, or a part of it (sqlite_batch.h), under the
// position of the first. `objects` is the fleet as of revision `objects_revision`; what is newer is
// replayed from the log. Of the changes up to `forgotten` nothing is told any more. `audit` has an
// entry for each change that there ever was, or begins with an anchor; its rows are like those of
// `changes`.
constexpr const char* kLogs = R"sql(
CREATE TABLE changes (position INTEGER PRIMARY KEY, entries BLOB NOT NULL);
CREATE TABLE audit (position INTEGER PRIMARY KEY, entries BLOB NOT NULL);
)sql";
constexpr const char* kTables = R"sql(
CREATE TABLE objects (
  kind TEXT NOT NULL,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  message BLOB NOT NULL,
  PRIMARY KEY (kind, tenant, name)
);
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO marks VALUES ('objects_revision', 0), ('objects_time_us', 0), ('forgotten', 0);
)sql";
// Version 2 had a row for each entry.
constexpr const char* kAudit2 = R"sql(
CREATE TABLE audit (position INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL);
)sql";
// Of the revisions that version 1 wrote nothing can be told any more.
constexpr const char* kAnchor = R"sql(
INSERT INTO audit SELECT newest << 20, x'', zeroblob(32) FROM (
  SELECT max(coalesce((SELECT max(position) >> 20 FROM changes), 0),
             (SELECT value FROM marks WHERE name = 'objects_revision')) AS newest)
WHERE newest > 0;
)sql";

constexpr const char* kRename2 = R"sql(
ALTER TABLE changes RENAME TO changes_2;
ALTER TABLE audit RENAME TO audit_2;
)sql";
constexpr const char* kDrop2 = R"sql(
DROP TABLE changes_2;
DROP TABLE audit_2;
)sql";

// Puts the rows of a table of version 2 together.
template <typename Take>
Status gather(Sqlite& connection, std::string_view from, std::string_view to, Take take) {
  ASSIGN_OR_RETURN(SqliteStatement rows, connection.prepare(from));
  ASSIGN_OR_RETURN(SqliteStatement insert, connection.prepare(to));
  std::string blob;
  int64_t first = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (blob.size() >= kBatchBytes || (!row && !blob.empty())) {
      RETURN_IF_ERROR(insert.bind(1, first).bind_bytes(2, blob).run());
      blob.clear();
    }
    if (!row) return {};
    if (blob.empty()) first = rows.integer(0);
    take(rows, blob);
  }
}

Status take_from_version_2(Sqlite& connection) {
  RETURN_IF_ERROR(connection.execute(kRename2));
  RETURN_IF_ERROR(connection.execute(kLogs));
  RETURN_IF_ERROR(gather(connection,
                         "SELECT position, time_us, actor, kind, tenant, name, message "
                         "FROM changes_2 ORDER BY position",
                         "INSERT INTO changes (position, entries) VALUES (?, ?)",
                         [](const SqliteStatement& row, std::string& blob) {
                           append_entry(blob, {.position = row.integer(0),
                                               .time_us = row.integer(1),
                                               .actor = row.text(2),
                                               .kind = row.text(3),
                                               .tenant = row.text(4),
                                               .name = row.text(5),
                                               .deleted = row.is_null(6),
                                               .message = row.bytes(6)});
                         }));
  RETURN_IF_ERROR(
      gather(connection, "SELECT position, record, hash FROM audit_2 ORDER BY position",
             "INSERT INTO audit (position, entries) VALUES (?, ?)",
             [](const SqliteStatement& row, std::string& blob) {
               append_entry(blob, AuditEntry{row.integer(0), row.bytes(1), row.bytes(2)});
             }));
  return connection.execute(kDrop2);
}

Result<Sqlite> open(const std::string& name, const char* vfs, const char* pragmas) {
  ASSIGN_OR_RETURN(Sqlite connection, Sqlite::open(name, vfs));
  RETURN_IF_ERROR(connection.execute(pragmas));
  return connection;
}

Status set_number(Sqlite& connection, std::string_view pragma, int64_t value) {
  return connection.execute(fmt::format("PRAGMA {} = {}", pragma, value).c_str());
}

}  // namespace

Status prepare_schema(Sqlite& connection) {
  RETURN_IF_ERROR(connection.execute("PRAGMA journal_mode = WAL"));
  ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(connection));
  ASSIGN_OR_RETURN(const int64_t tables, connection.number("SELECT count(*) FROM sqlite_schema"));
  ASSIGN_OR_RETURN(const int64_t id, connection.number("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int64_t version, connection.number("PRAGMA user_version"));
  if (tables == 0) {
    RETURN_IF_ERROR(connection.execute(kLogs));
    RETURN_IF_ERROR(connection.execute(kTables));
    RETURN_IF_ERROR(set_number(connection, "application_id", kApplicationId));
    RETURN_IF_ERROR(set_number(connection, "user_version", kVersion));
    return write.commit();
  }
  if (id != kApplicationId)
    return Error(Code::kFailedPrecondition, "the database belongs to another program");
  if (version > kVersion)
    return Error(Code::kFailedPrecondition,
                 fmt::format("the database has version {}, this program knows {}: use the newer "
                             "program that wrote it",
                             version, kVersion));
  if (version < 2) {
    RETURN_IF_ERROR(connection.execute(kAudit2));
    RETURN_IF_ERROR(connection.execute(kAnchor));
  }
  if (version < kVersion) {
    RETURN_IF_ERROR(take_from_version_2(connection));
    RETURN_IF_ERROR(set_number(connection, "user_version", kVersion));
  }
  return write.commit();
}

Result<Sqlite> open_for_append(const std::string& name) {
  return open(name, wal_in_one_write(), "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0");
}

Result<Sqlite> open_for_upkeep(const std::string& name) {
  return open(name, nullptr,
              "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
              "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST");
}

}  // namespace frameworks
