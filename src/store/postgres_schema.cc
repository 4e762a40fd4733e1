#include "store/postgres_schema.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"

namespace frameworks {
namespace {

// The row that says which version the tables have; who migrates holds its lock.
constexpr const char* kVersionTable = R"sql(
CREATE SCHEMA IF NOT EXISTS frameworks;
CREATE TABLE IF NOT EXISTS frameworks.schema_version (
  id INT8 PRIMARY KEY,
  version INT8 NOT NULL
);
INSERT INTO frameworks.schema_version VALUES (1, 0) ON CONFLICT DO NOTHING;
)sql";

// Step n leads from version n to n + 1. Servers of earlier versions may be up while it runs: it
// only adds. Where they must not append any more, it raises `head.least_writer`, which every append
// checks. Each can be run again after it broke off, for databases whose definitions are not
// transactional.
//
// `changes` is the log. `head` has its end, and is the lock that appends queue for. `objects` is
// the fleet as of revision `objects_revision`; what is newer is replayed from the log. Changes up
// to `forgotten` are no longer there. `audit` is keyed by revision * 2^20 + place. Columns of text
// compare bytes: other orders change with the operating system, and break indexes.
constexpr const char* kSteps[kPostgresVersion] = {
    R"sql(
CREATE TABLE IF NOT EXISTS frameworks.head (
  id INT8 PRIMARY KEY,
  revision INT8 NOT NULL,
  time_us INT8 NOT NULL,
  least_writer INT8 NOT NULL
);
INSERT INTO frameworks.head VALUES (1, 0, 0, 1) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS frameworks.changes (
  revision INT8 NOT NULL,
  place INT8 NOT NULL,
  time_us INT8 NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  message BYTEA,
  PRIMARY KEY (revision, place)
);
CREATE TABLE IF NOT EXISTS frameworks.objects (
  kind TEXT COLLATE "C" NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  message BYTEA NOT NULL,
  PRIMARY KEY (kind, tenant, name)
);
CREATE TABLE IF NOT EXISTS frameworks.marks (
  id INT8 PRIMARY KEY,
  objects_revision INT8 NOT NULL,
  forgotten INT8 NOT NULL
);
INSERT INTO frameworks.marks VALUES (1, 0, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS frameworks.audit (
  position INT8 PRIMARY KEY,
  record BYTEA NOT NULL,
  hash BYTEA NOT NULL
);
CREATE TABLE IF NOT EXISTS frameworks.servers (
  name TEXT PRIMARY KEY,
  incarnation TEXT NOT NULL,
  beat INT8 NOT NULL,
  report BYTEA NOT NULL
);
CREATE TABLE IF NOT EXISTS frameworks.kept (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
)sql",
};

// Somebody else did the same at the same time: what IF NOT EXISTS does not save from in PostgreSQL
// (duplicate key in a catalog, "tuple concurrently updated"), and serialization failures.
bool is_collision(Code code) {
  return code == Code::kAborted || code == Code::kAlreadyExists || code == Code::kInternal;
}

Result<int64_t> found_version(Postgres& connection) {
  ASSIGN_OR_RETURN(const PostgresRows there,
                   connection.execute("SELECT count(*) FROM information_schema.tables WHERE "
                                      "table_schema = 'frameworks' AND "
                                      "table_name = 'schema_version'"));
  if (there.integer(0, 0) == 0) return 0;
  ASSIGN_OR_RETURN(
      const PostgresRows rows,
      connection.execute("SELECT version FROM frameworks.schema_version WHERE id = 1"));
  return rows.count() == 0 ? 0 : rows.integer(0, 0);
}

Status check_known(int64_t version) {
  if (version <= kPostgresVersion) return {};
  return Error(Code::kFailedPrecondition,
               fmt::format("the database has version {}, this program knows {}: use the newer "
                           "program that wrote it",
                           version, kPostgresVersion));
}

Status migrate(Postgres& connection) {
  RETURN_IF_ERROR(connection.run(kVersionTable));
  ASSIGN_OR_RETURN(PostgresTransaction transaction, PostgresTransaction::begin(connection));
  ASSIGN_OR_RETURN(
      const PostgresRows rows,
      connection.execute("SELECT version FROM frameworks.schema_version WHERE id = 1 FOR UPDATE"));
  const int64_t version = rows.integer(0, 0);
  RETURN_IF_ERROR(check_known(version));
  for (int64_t step = version; step < kPostgresVersion; ++step) {
    spdlog::info("store: the database gets version {}", step + 1);
    RETURN_IF_ERROR(connection.run(kSteps[step]));
  }
  RETURN_IF_ERROR(
      connection.execute("UPDATE frameworks.schema_version SET version = $1 WHERE id = 1",
                         PostgresParameters().add(kPostgresVersion)));
  return transaction.commit();
}

}  // namespace

Status prepare_schema(Postgres& connection) {
  ASSIGN_OR_RETURN(const PostgresRows encoding, connection.execute("SHOW server_encoding"));
  if (encoding.text(0, 0) != "UTF8")
    return Error(
        Code::kFailedPrecondition,
        fmt::format("the database is in {}: create it with ENCODING 'UTF8'", encoding.text(0, 0)));
  constexpr int kTries = 20;
  for (int tries = 1;; ++tries) {
    ASSIGN_OR_RETURN(const int64_t version, found_version(connection));
    RETURN_IF_ERROR(check_known(version));
    if (version == kPostgresVersion) return {};
    const Status done = migrate(connection);
    if (done) return {};
    if (connection.is_lost() || tries == kTries || !is_collision(done.error().code())) return done;
    (void)system_clock().sleep_for(std::chrono::milliseconds(20 * tries), {});
  }
}

}  // namespace frameworks
