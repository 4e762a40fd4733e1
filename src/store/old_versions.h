// SQLite files as earlier programs made them, for tests of what opens them.
#pragma once

namespace frameworks {

// Before there was an audit log.
inline constexpr const char* kVersion1 = R"sql(
PRAGMA journal_mode = WAL;
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
PRAGMA application_id = 1180126257;
PRAGMA user_version = 1;
)sql";

// What the next one made beside it. Both had a row for each change.
inline constexpr const char* kVersion2 = R"sql(
CREATE TABLE audit (position INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL);
PRAGMA user_version = 2;
)sql";

}  // namespace frameworks
