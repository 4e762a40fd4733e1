// The log in a PostgreSQL database, or one that speaks its protocol, for any number of servers.
//
// An append is one statement: it raises `head.revision` from what the server knows to what it adds,
// which takes the row's lock, and inserts the changes if that went well. Who was second waits for
// the lock, then finds another revision and has written nothing. Revisions therefore become visible
// in order and without gaps. Nothing here needs LISTEN, advisory locks, triggers or extensions.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "model/pack.h"
#include "model/snapshot_loader.h"
#include "store/log.h"
#include "store/postgres_compaction.h"
#include "store/postgres_follower.h"
#include "store/postgres_line.h"
#include "store/postgres_schema.h"
#include "store/shared_log.h"
#include "store/stored.h"

namespace frameworks {
namespace {

constexpr int64_t kPageRows = 20'000;

// A server that stands still in a turn must not hold up the others. Acknowledged is on disk, and on
// that of a synchronous standby, whatever the database's default is.
constexpr const char* kAppendSettings =
    "SET idle_in_transaction_session_timeout = '3s'; "
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local')";

// Columns 1 to 7 of a row are a change's.
constexpr const char* kChangeColumns =
    "c.revision, c.time_us, c.actor, c.kind, c.tenant, c.name, c.message";

Result<Change> parse_change(const PostgresRows& rows, int row) {
  Change change;
  change.revision = rows.integer(row, 1);
  change.time = from_us(rows.integer(row, 2));
  change.actor = std::string(rows.text(row, 3));
  change.key = {std::string(rows.text(row, 4)), std::string(rows.text(row, 5)),
                std::string(rows.text(row, 6))};
  if (!rows.is_null(row, 7)) {
    ASSIGN_OR_RETURN(change.after,
                     parse_resource(rows.text(row, 4), rows.text(row, 6), rows.text(row, 7)));
  }
  return change;
}

// The parameters $13 to $15 of an append: the columns of `audit`.
void add_columns(std::span<const AuditRow> audit, PostgresParameters& to) {
  std::vector<int64_t> positions;
  std::vector<std::string_view> records, hashes;
  for (const AuditRow& row : audit) {
    positions.push_back(row.position);
    records.emplace_back(row.record);
    hashes.emplace_back(row.hash);
  }
  to.add_array(positions).add_bytes_array(records).add_bytes_array(hashes);
}

// The parameters $5 to $12 of an append: the columns of `changes`.
void add_columns(std::span<const Change> changes, PostgresParameters& to) {
  std::vector<int64_t> revisions, places, times;
  std::vector<std::string_view> actors, kinds, tenants, names, messages;
  std::vector<std::string> bytes(changes.size());
  for (size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    places.push_back(i > 0 && changes[i - 1].revision == change.revision ? places.back() + 1 : 0);
    revisions.push_back(change.revision);
    times.push_back(to_us(change.time));
    actors.push_back(change.actor.name);
    kinds.push_back(change.key.kind);
    tenants.push_back(change.key.tenant);
    names.push_back(change.key.name);
    if (!change.after_row && change.after)
      CHECK(change.after.message().AppendToString(&bytes[i]));
    // A view of nothing is NULL: deleted.
    messages.push_back(change.after_row ? change.after_row->bytes()
                       : change.after   ? std::string_view(bytes[i])
                                        : std::string_view());
  }
  to.add_array(revisions).add_array(places).add_array(times).add_array(actors);
  to.add_array(kinds).add_array(tenants).add_array(names).add_bytes_array(messages);
}

constexpr const char* kAppend =
    "WITH turn AS ("
    "  UPDATE frameworks.head SET revision = $2, time_us = $3"
    "  WHERE id = 1 AND revision = $1 AND least_writer <= $4 RETURNING id), "
    "audited AS ("
    "  INSERT INTO frameworks.audit (position, record, hash)"
    "  SELECT a.position, a.record, a.hash FROM unnest($13, $14, $15)"
    "  AS a (position, record, hash) WHERE EXISTS (SELECT 1 FROM turn)) "
    "INSERT INTO frameworks.changes "
    "(revision, place, time_us, actor, kind, tenant, name, message) "
    "SELECT c.revision, c.place, c.time_us, c.actor, c.kind, c.tenant, c.name, c.message "
    "FROM unnest($5, $6, $7, $8, $9, $10, $11, $12) "
    "AS c (revision, place, time_us, actor, kind, tenant, name, message) "
    "WHERE EXISTS (SELECT 1 FROM turn)";

class PostgresLog final : public Log, public SharedLog {
 public:
  PostgresLog(const std::string& conninfo, const PostgresLogOptions& options)
      : append_(conninfo, kAppendSettings),
        read_(conninfo),
        upkeep_(conninfo),
        side_(conninfo),
        gaps_(options.gaps),
        follower_(conninfo, options.notify, options.poll) {}

  Result<Snapshot> load() override {
    return read_.with_again([&](Postgres& connection) { return load(connection); });
  }
  Status append(std::span<const Change> changes, std::span<const AuditRow> audit) override;
  Result<std::vector<Change>> read(Revision after, size_t limit) override {
    return read_.with_again([&](Postgres& connection) { return read(connection, after, limit); });
  }
  Status compact(Revision upto) override;
  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) override {
    return read_.with_again(
        [&](Postgres& connection) { return read_audit(connection, range, limit); });
  }
  Status cut_audit(int64_t position) override;
  SharedLog* shared() override { return this; }

  void follow(std::function<void()> changed) override { follower_.start(std::move(changed)); }
  Status take_turn() override;
  void end_turn() override {
    if (std::exchange(in_turn_, false))
      (void)append_.with([](Postgres& connection) { return connection.run("ROLLBACK"); });
  }
  Status enter(const std::string& name, const std::string& incarnation) override;
  Result<std::vector<ServerBeat>> beat(const std::string& name, const std::string& incarnation,
                                       const std::string& report) override;
  Result<std::vector<ServerBeat>> beats() override {
    return side_.with_again([](Postgres& connection) { return beats(connection); });
  }
  Status leave(const std::string& name, const std::string& incarnation) override;
  Result<std::string> keep(const std::string& name, const std::string& value) override;
  Result<std::string> kept(const std::string& name) override;

 private:
  Result<Snapshot> load(Postgres& connection);
  Status load_objects(Postgres& connection, SnapshotLoader& loader);
  static Result<std::vector<Change>> read(Postgres& connection, Revision after, size_t limit);
  Status append(Postgres& connection, std::span<const Change> changes,
                std::span<const AuditRow> audit);
  static Result<std::vector<AuditRow>> read_audit(Postgres& connection, const AuditRange& range,
                                                  size_t limit);
  Status explain_refusal(Postgres& connection, Revision first);
  static Result<std::vector<ServerBeat>> beats(Postgres& connection);

  PostgresLine append_;
  PostgresLine read_;
  PostgresLine upkeep_;
  PostgresLine side_;
  // Of load() and of the appends that went well, by their one caller.
  const bool gaps_;
  Revision newest_ = 0;
  // The connection for appends is in a transaction that has the lock of `head`; unless the database
  // ended it, which is no harm: the statements then do as they do outside of one.
  bool in_turn_ = false;
  PostgresFollower follower_;
};

Status PostgresLog::load_objects(Postgres& connection, SnapshotLoader& loader) {
  std::string kind, tenant, name;
  while (true) {
    ASSIGN_OR_RETURN(
        const PostgresRows rows,
        connection.execute("SELECT kind, tenant, name, message FROM frameworks.objects "
                           "WHERE (kind, tenant, name) > ($1, $2, $3) "
                           "ORDER BY kind, tenant, name LIMIT $4",
                           PostgresParameters().add(kind).add(tenant).add(name).add(kPageRows)));
    for (int row = 0; row < rows.count(); ++row)
      RETURN_IF_ERROR(
          loader.add(rows.text(row, 0), rows.text(row, 1), rows.text(row, 2), rows.text(row, 3)));
    if (rows.count() < kPageRows) return {};
    kind = rows.text(rows.count() - 1, 0);
    tenant = rows.text(rows.count() - 1, 1);
    name = rows.text(rows.count() - 1, 2);
  }
}

Result<Snapshot> PostgresLog::load(Postgres& connection) {
  ASSIGN_OR_RETURN(PostgresTransaction transaction,
                   PostgresTransaction::begin(connection, "ISOLATION LEVEL REPEATABLE READ"));
  ASSIGN_OR_RETURN(const PostgresRows head,
                   connection.execute("SELECT h.revision, h.time_us, m.objects_revision "
                                      "FROM frameworks.head h, frameworks.marks m "
                                      "WHERE h.id = 1 AND m.id = 1"));
  if (head.count() != 1) return Error(Code::kDataLoss, "database: frameworks.head is empty");
  SnapshotLoader loader;
  RETURN_IF_ERROR(load_objects(connection, loader));
  ASSIGN_OR_RETURN(Snapshot snapshot, loader.finish());
  Revision at = head.integer(0, 2);
  while (at < head.integer(0, 0)) {
    // By revisions, of which any may be large; most are one change.
    ASSIGN_OR_RETURN(std::vector<Change> changes, read(connection, at, kPageRows));
    if (changes.empty()) return Error(Code::kDataLoss, "database: changes are missing");
    for (Change& change : changes) {
      if (change.after) {
        snapshot.put_packed(change.after, deterministic_bytes(change.after.message()));
      } else {
        snapshot.remove(change.key);
      }
    }
    at = changes.back().revision;
  }
  RETURN_IF_ERROR(transaction.commit());
  snapshot.set_revision(head.integer(0, 0), from_us(head.integer(0, 1)));
  newest_ = snapshot.revision();
  follower_.known(newest_);
  return snapshot;
}

Result<std::vector<Change>> PostgresLog::read(Postgres& connection, Revision after, size_t limit) {
  const auto revisions =
      static_cast<int64_t>(std::min<size_t>(limit, static_cast<size_t>(INT32_MAX)));
  // One statement sees one state: if something was forgotten, then the mark says so. There is a row
  // also when there are no changes.
  ASSIGN_OR_RETURN(
      const PostgresRows rows,
      connection.execute(
          fmt::format("SELECT m.forgotten, {} FROM frameworks.marks m "
                      "LEFT JOIN frameworks.changes c ON c.revision > $1 AND c.revision <= $2 "
                      "WHERE m.id = 1 ORDER BY c.revision, c.place",
                      kChangeColumns),
          PostgresParameters().add(after).add(after + revisions)));
  if (rows.count() == 0) return Error(Code::kDataLoss, "database: frameworks.marks is empty");
  if (after < rows.integer(0, 0))
    return Error(Code::kOutOfRange,
                 fmt::format("changes up to revision {} are forgotten, asked for those after {}: "
                             "start again from the present",
                             rows.integer(0, 0), after));
  std::vector<Change> out;
  if (rows.is_null(0, 1)) return out;
  out.reserve(static_cast<size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    ASSIGN_OR_RETURN(Change change, parse_change(rows, row));
    out.push_back(std::move(change));
  }
  return out;
}

// Why an append found its place taken.
Status PostgresLog::explain_refusal(Postgres& connection, Revision first) {
  ASSIGN_OR_RETURN(
      const PostgresRows head,
      connection.execute("SELECT revision, least_writer FROM frameworks.head WHERE id = 1"));
  if (head.count() == 1 && head.integer(0, 1) > kPostgresVersion)
    return Error(Code::kFailedPrecondition,
                 fmt::format("a newer program has changed the database (version {}, this one "
                             "writes {}): update this server",
                             head.integer(0, 1), kPostgresVersion));
  const Revision newest = head.count() == 1 ? head.integer(0, 0) : 0;
  if (newest >= first)
    return Error(Code::kAborted,
                 fmt::format("another server was first: the newest revision is {}", newest));
  return Error(Code::kFailedPrecondition,
               fmt::format("revision {} does not follow {}: the database lost what it had "
                           "acknowledged (a standby that was not synchronous?)",
                           first, newest));
}

Status PostgresLog::append(Postgres& connection, std::span<const Change> changes,
                           std::span<const AuditRow> audit) {
  const Revision first = changes.front().revision;
  PostgresParameters parameters;
  parameters.add(gaps_ ? newest_ : first - 1)
      .add(changes.back().revision)
      .add(to_us(changes.back().time))
      .add(kPostgresVersion);
  add_columns(changes, parameters);
  add_columns(audit, parameters);
  ASSIGN_OR_RETURN(const PostgresRows inserted, connection.execute(kAppend, parameters));
  if (inserted.affected() == 0) return explain_refusal(connection, first);
  CHECK(inserted.affected() == static_cast<int64_t>(changes.size()));
  return std::exchange(in_turn_, false) ? connection.run("COMMIT") : Status();
}

Status PostgresLog::append(std::span<const Change> changes, std::span<const AuditRow> audit) {
  Revision revision = newest_;
  for (const Change& change : changes) {
    if (change.revision < revision || change.revision == newest_)
      return Error(Code::kFailedPrecondition,
                   fmt::format("revision {} does not follow {}", change.revision, revision));
    revision = change.revision;
  }
  const Status done =
      append_.with([&](Postgres& connection) { return append(connection, changes, audit); });
  end_turn();
  RETURN_IF_ERROR(done);
  newest_ = revision;
  follower_.known(newest_);
  follower_.tell_others();
  return {};
}

Status PostgresLog::take_turn() {
  end_turn();
  return append_.with([&](Postgres& connection) -> Status {
    ASSIGN_OR_RETURN(PostgresTransaction turn, PostgresTransaction::begin(connection));
    RETURN_IF_ERROR(
        connection.execute("SELECT revision FROM frameworks.head WHERE id = 1 FOR UPDATE"));
    turn.keep();
    in_turn_ = true;
    return {};
  });
}

Status PostgresLog::compact(Revision upto) {
  while (true) {
    ASSIGN_OR_RETURN(const bool more, upkeep_.with(compact_once));
    if (!more) break;
  }
  while (true) {
    ASSIGN_OR_RETURN(const bool more, upkeep_.with([&](Postgres& connection) {
      return forget_once(connection, upto);
    }));
    if (!more) return {};
  }
}

Result<std::vector<AuditRow>> PostgresLog::read_audit(Postgres& connection, const AuditRange& range,
                                                      size_t limit) {
  const char* order = range.newest_first ? "DESC" : "ASC";
  // What exceeds kAuditBytes stays in the database.
  ASSIGN_OR_RETURN(
      const PostgresRows rows,
      connection.execute(
          fmt::format("SELECT position, record, hash FROM ("
                      "  SELECT position, record, hash, sum(octet_length(record))"
                      "  OVER (ORDER BY position {0}) - octet_length(record) AS ahead FROM ("
                      "    SELECT position, record, hash FROM frameworks.audit"
                      "    WHERE position >= $1 AND position < $2"
                      "    ORDER BY position {0} LIMIT $3) AS page) AS summed "
                      "WHERE ahead < {1} ORDER BY position {0}",
                      order, kAuditBytes),
          PostgresParameters()
              .add(range.from)
              .add(range.to)
              .add(static_cast<int64_t>(std::min<size_t>(limit, INT32_MAX)))));
  std::vector<AuditRow> out;
  out.reserve(static_cast<size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row)
    out.push_back(
        {rows.integer(row, 0), std::string(rows.text(row, 1)), std::string(rows.text(row, 2))});
  return out;
}

Status PostgresLog::cut_audit(int64_t position) {
  int64_t done = 0;
  while (true) {
    ASSIGN_OR_RETURN(const int64_t anchor, upkeep_.with([&](Postgres& connection) {
      return cut_audit_once(connection, position);
    }));
    if (anchor == done) return {};
    done = anchor;
  }
}

Result<std::vector<ServerBeat>> PostgresLog::beats(Postgres& connection) {
  ASSIGN_OR_RETURN(const PostgresRows rows,
                   connection.execute("SELECT name, incarnation, beat, report "
                                      "FROM frameworks.servers ORDER BY name"));
  std::vector<ServerBeat> out;
  for (int row = 0; row < rows.count(); ++row)
    out.push_back({std::string(rows.text(row, 0)), std::string(rows.text(row, 1)),
                   rows.integer(row, 2), std::string(rows.text(row, 3))});
  return out;
}

Status PostgresLog::enter(const std::string& name, const std::string& incarnation) {
  return side_.with_again([&](Postgres& connection) -> Status {
    RETURN_IF_ERROR(connection.execute(
        "INSERT INTO frameworks.servers (name, incarnation, beat, report) VALUES ($1, $2, 1, '') "
        "ON CONFLICT (name) DO UPDATE SET incarnation = EXCLUDED.incarnation, report = '', "
        "beat = servers.beat + 1",
        PostgresParameters().add(name).add(incarnation)));
    return {};
  });
}

Result<std::vector<ServerBeat>> PostgresLog::beat(const std::string& name,
                                                  const std::string& incarnation,
                                                  const std::string& report) {
  return side_.with_again([&](Postgres& connection) -> Result<std::vector<ServerBeat>> {
    ASSIGN_OR_RETURN(
        const PostgresRows own,
        connection.execute("UPDATE frameworks.servers SET beat = beat + 1, report = $3 "
                           "WHERE name = $1 AND incarnation = $2",
                           PostgresParameters().add(name).add(incarnation).add_bytes(report)));
    if (own.affected() == 0)
      return Error(Code::kFailedPrecondition,
                   fmt::format("another server has entered as \"{}\"", name));
    return beats(connection);
  });
}

Status PostgresLog::leave(const std::string& name, const std::string& incarnation) {
  return side_.with_again([&](Postgres& connection) -> Status {
    RETURN_IF_ERROR(
        connection.execute("DELETE FROM frameworks.servers WHERE name = $1 AND incarnation = $2",
                           PostgresParameters().add(name).add(incarnation)));
    return {};
  });
}

Result<std::string> PostgresLog::keep(const std::string& name, const std::string& value) {
  RETURN_IF_ERROR(side_.with_again([&](Postgres& connection) -> Status {
    RETURN_IF_ERROR(connection.execute(
        "INSERT INTO frameworks.kept (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        PostgresParameters().add(name).add(value)));
    return {};
  }));
  return kept(name);
}

Result<std::string> PostgresLog::kept(const std::string& name) {
  return side_.with_again([&](Postgres& connection) -> Result<std::string> {
    ASSIGN_OR_RETURN(const PostgresRows rows,
                     connection.execute("SELECT value FROM frameworks.kept WHERE name = $1",
                                        PostgresParameters().add(name)));
    return rows.count() == 0 ? std::string() : std::string(rows.text(0, 0));
  });
}

}  // namespace

Result<std::unique_ptr<Log>> open_postgres_log(const std::string& conninfo,
                                               const PostgresLogOptions& options) {
  ASSIGN_OR_RETURN(Postgres connection, Postgres::connect(conninfo));
  RETURN_IF_ERROR(prepare_schema(connection));
  return std::make_unique<PostgresLog>(conninfo, options);
}

}  // namespace frameworks
