#include "store/postgres_compaction.h"

#include <algorithm>

namespace frameworks {
namespace {

// Changes that are taken in one transaction, as far as single revisions allow it.
constexpr int64_t kCompactRows = 20'000;

}  // namespace

Result<bool> compact_once(Postgres& connection) {
  ASSIGN_OR_RETURN(PostgresTransaction transaction, PostgresTransaction::begin(connection));
  // Only one server at a time: the mark's row is the lock.
  ASSIGN_OR_RETURN(
      const PostgresRows mark,
      connection.execute("SELECT objects_revision FROM frameworks.marks WHERE id = 1 FOR UPDATE"));
  const Revision done = mark.integer(0, 0);
  ASSIGN_OR_RETURN(const PostgresRows last,
                   connection.execute("SELECT revision FROM frameworks.changes WHERE revision > $1 "
                                      "ORDER BY revision, place LIMIT 1 OFFSET $2",
                                      PostgresParameters().add(done).add(kCompactRows)));
  Revision target = 0;
  if (last.count() == 1) {
    target = std::max(done + 1, last.integer(0, 0) - 1);  // whole revisions only
  } else {
    ASSIGN_OR_RETURN(const PostgresRows newest,
                     connection.execute("SELECT revision FROM frameworks.changes "
                                        "WHERE revision > $1 ORDER BY revision DESC LIMIT 1",
                                        PostgresParameters().add(done)));
    if (newest.count() == 0) return false;
    target = newest.integer(0, 0);
  }
  RETURN_IF_ERROR(connection.execute(
      "WITH last AS ("
      "  SELECT DISTINCT ON (kind, tenant, name) kind, tenant, name, message"
      "  FROM frameworks.changes WHERE revision > $1 AND revision <= $2"
      "  ORDER BY kind, tenant, name, revision DESC, place DESC), "
      "gone AS ("
      "  DELETE FROM frameworks.objects o USING last l WHERE l.message IS NULL"
      "  AND o.kind = l.kind AND o.tenant = l.tenant AND o.name = l.name) "
      "INSERT INTO frameworks.objects (kind, tenant, name, message) "
      "SELECT kind, tenant, name, message FROM last WHERE message IS NOT NULL "
      "ON CONFLICT (kind, tenant, name) DO UPDATE SET message = EXCLUDED.message",
      PostgresParameters().add(done).add(target)));
  RETURN_IF_ERROR(
      connection.execute("UPDATE frameworks.marks SET objects_revision = $1 WHERE id = 1",
                         PostgresParameters().add(target)));
  RETURN_IF_ERROR(transaction.commit());
  return last.count() == 1;
}

Result<bool> forget_once(Postgres& connection, Revision upto) {
  ASSIGN_OR_RETURN(PostgresTransaction transaction, PostgresTransaction::begin(connection));
  ASSIGN_OR_RETURN(
      const PostgresRows marks,
      connection.execute(
          "SELECT objects_revision, forgotten FROM frameworks.marks WHERE id = 1 FOR UPDATE"));
  const Revision end = std::min(upto, marks.integer(0, 0));
  if (marks.integer(0, 1) >= end) return false;
  const Revision target = std::min(end, marks.integer(0, 1) + kCompactRows);
  // The mark and what it tells of in one transaction: see read().
  RETURN_IF_ERROR(connection.execute("UPDATE frameworks.marks SET forgotten = $1 WHERE id = 1",
                                     PostgresParameters().add(target)));
  RETURN_IF_ERROR(connection.execute("DELETE FROM frameworks.changes WHERE revision <= $1",
                                     PostgresParameters().add(target)));
  RETURN_IF_ERROR(transaction.commit());
  return target < end;
}

Result<int64_t> cut_audit_once(Postgres& connection, int64_t position) {
  ASSIGN_OR_RETURN(PostgresTransaction transaction, PostgresTransaction::begin(connection));
  ASSIGN_OR_RETURN(const PostgresRows last,
                   connection.execute("SELECT max(position) FROM (SELECT position "
                                      "FROM frameworks.audit WHERE position < $1 "
                                      "ORDER BY position LIMIT $2) AS part",
                                      PostgresParameters().add(position).add(kCompactRows)));
  if (last.count() == 0 || last.is_null(0, 0)) return 0;
  const int64_t anchor = last.integer(0, 0);
  RETURN_IF_ERROR(connection.execute("DELETE FROM frameworks.audit WHERE position < $1",
                                     PostgresParameters().add(anchor)));
  RETURN_IF_ERROR(connection.execute("UPDATE frameworks.audit SET record = '' WHERE position = $1",
                                     PostgresParameters().add(anchor)));
  RETURN_IF_ERROR(transaction.commit());
  return anchor;
}

}  // namespace frameworks
