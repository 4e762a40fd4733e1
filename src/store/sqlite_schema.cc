#include "store/sqlite_schema.h"

#include <fmt/format.h>

namespace frameworks {
namespace {

constexpr int64_t kApplicationId = 0x46'57'4c'31;  // "FWL1"
constexpr int64_t kVersion = 2;

// `changes` is the log. `objects` is the fleet as of revision `objects_revision`; what is newer is
// replayed from the log. Changes up to `forgotten` are no longer there. `audit` has a row for each
// change that there ever was, or begins with an anchor.
constexpr const char* kTables = R"sql(
CREATE TABLE changes (
  position INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  message BLOB
);
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
constexpr const char* kAudit = R"sql(
CREATE TABLE audit (position INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL);
)sql";
// Of the revisions that version 1 wrote nothing can be told any more.
constexpr const char* kAnchor = R"sql(
INSERT INTO audit SELECT newest << 20, x'', zeroblob(32) FROM (
  SELECT max(coalesce((SELECT max(position) >> 20 FROM changes), 0),
             (SELECT value FROM marks WHERE name = 'objects_revision')) AS newest)
WHERE newest > 0;
)sql";

Result<Sqlite> open(const std::string& name, const char* pragmas) {
  ASSIGN_OR_RETURN(Sqlite connection, Sqlite::open(name));
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
    RETURN_IF_ERROR(connection.execute(kTables));
    RETURN_IF_ERROR(connection.execute(kAudit));
    RETURN_IF_ERROR(set_number(connection, "application_id", kApplicationId));
    RETURN_IF_ERROR(set_number(connection, "user_version", kVersion));
  } else if (id != kApplicationId) {
    return Error(Code::kFailedPrecondition, "the database belongs to another program");
  } else if (version > kVersion) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("the database has version {}, this program knows {}: use the newer "
                             "program that wrote it",
                             version, kVersion));
  } else if (version < 2) {
    RETURN_IF_ERROR(connection.execute(kAudit));
    RETURN_IF_ERROR(connection.execute(kAnchor));
    RETURN_IF_ERROR(set_number(connection, "user_version", kVersion));
  }
  return write.commit();
}

Result<Sqlite> open_for_append(const std::string& name) {
  return open(name, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0");
}

Result<Sqlite> open_for_upkeep(const std::string& name) {
  return open(name,
              "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
              "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST");
}

}  // namespace frameworks
