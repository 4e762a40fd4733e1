#include "store/sqlite_compaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <unordered_map>

namespace frameworks {
namespace {

// Rows of `objects` that are written at once: about a millisecond, less when an append waits.
constexpr size_t kMostRows = 256;
constexpr size_t kLeastRows = 16;
// Changes that are put together in memory before they are written.
constexpr size_t kGatherBytes = size_t{64} << 20;
// What is dropped at once.
constexpr int64_t kDropBytes = 1 << 20;

Status set_mark(Sqlite& connection, std::string_view name, int64_t value) {
  return connection.execute(
      fmt::format("UPDATE marks SET value = {} WHERE name = '{}'", value, name).c_str());
}

Error broken(std::string_view table, int64_t position) {
  return Error(Code::kDataLoss, fmt::format("revision {}, entry {}: the bytes of its row in \"{}\" "
                                            "are not what was written",
                                            revision_of(position), place_of(position), table));
}

// The last change of each resource, in the order of `objects`.
class LastChanges {
 public:
  void add(const ChangeEntry& entry) {
    auto at = last_.find(entry.key);
    if (at == last_.end()) {
      at = last_.emplace(entry.key, Last{}).first;
      bytes_ += entry.key.size() + sizeof(Last);
    }
    Last& last = at->second;
    bytes_ += entry.message.size() - last.message.size();
    last.deleted = entry.deleted;
    last.message = entry.message;
  }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  // Views into this.
  [[nodiscard]] std::vector<ChangeEntry> sorted() const {
    std::vector<ChangeEntry> out;
    out.reserve(last_.size());
    for (const auto& [key, last] : last_) {
      ChangeEntry& entry = out.emplace_back();
      split_key(key, entry);
      entry.deleted = last.deleted;
      entry.message = last.message;
    }
    std::sort(out.begin(), out.end(), [](const ChangeEntry& a, const ChangeEntry& b) {
      return std::tie(a.kind, a.tenant, a.name) < std::tie(b.kind, b.tenant, b.name);
    });
    return out;
  }

 private:
  struct Last {
    bool deleted = false;
    std::string message;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Last, Hash, std::equal_to<>> last_;
  size_t bytes_ = 0;
};

Status write_objects(Sqlite& connection, WriteTurn& turn, std::span<const ChangeEntry> rows) {
  ASSIGN_OR_RETURN(
      SqliteStatement put,
      connection.prepare(
          "INSERT INTO objects (kind, tenant, name, message) VALUES (?, ?, ?, ?) "
          "ON CONFLICT (kind, tenant, name) DO UPDATE SET message = excluded.message"));
  ASSIGN_OR_RETURN(
      SqliteStatement remove,
      connection.prepare("DELETE FROM objects WHERE (kind, tenant, name) = (?, ?, ?)"));
  while (!rows.empty()) {
    const WriteTurn::Hold hold = turn.for_upkeep();
    ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(connection));
    size_t done = 0;
    while (done < std::min(kMostRows, rows.size()) && (done < kLeastRows || !hold.is_wanted())) {
      const ChangeEntry& row = rows[done++];
      SqliteStatement& statement = row.deleted ? remove : put;
      statement.bind(1, row.kind).bind(2, row.tenant).bind(3, row.name);
      if (!row.deleted) statement.bind_bytes(4, row.message);
      RETURN_IF_ERROR(statement.run());
    }
    RETURN_IF_ERROR(write.commit());
    rows = rows.subspan(done);
  }
  return {};
}

// The oldest rows of a log's table, as many as may be dropped at once.
class PartOf {
 public:
  struct Rows {
    size_t count = 0;
    int64_t last = 0;  // the position of the last
  };
  static Result<PartOf> of(Sqlite& connection, std::string_view table) {
    ASSIGN_OR_RETURN(SqliteStatement sizes,
                     connection.prepare(fmt::format("SELECT position, length(entries) FROM {} "
                                                    "WHERE position < ? ORDER BY position",
                                                    table)));
    ASSIGN_OR_RETURN(SqliteStatement drop,
                     connection.prepare(fmt::format("DELETE FROM {} WHERE position <= ?", table)));
    return PartOf(std::move(sizes), std::move(drop));
  }
  // Those that begin before the position.
  Result<Rows> before(int64_t position) {
    Rows out;
    sizes_.bind(1, position);
    for (int64_t bytes = 0; bytes < kDropBytes && out.count < kMostRows; ++out.count) {
      ASSIGN_OR_RETURN(const bool row, sizes_.step());
      if (!row) return out;
      out.last = sizes_.integer(0);
      bytes += sizes_.integer(1);
    }
    sizes_.reset();
    return out;
  }
  // The rows up to the position.
  Status drop(int64_t last) { return drop_.bind(1, last).run(); }

 private:
  PartOf(SqliteStatement sizes, SqliteStatement drop)
      : sizes_(std::move(sizes)), drop_(std::move(drop)) {}

  SqliteStatement sizes_;
  SqliteStatement drop_;
};

struct AuditBatch {
  int64_t position = 0;
  std::vector<AuditRow> rows;
  bool broken = false;  // then without rows
};

AuditBatch parse_batch(const SqliteStatement& row) {
  AuditBatch out;
  out.position = row.integer(0);
  std::string_view rest = row.bytes(1);
  for (AuditEntry entry; !rest.empty();) {
    if (!take_entry(rest, entry)) {
      out.broken = true;
      out.rows.clear();
      break;
    }
    out.rows.push_back({entry.position, std::string(entry.record), std::string(entry.hash)});
  }
  return out;
}

}  // namespace

Result<int64_t> get_mark(Sqlite& connection, std::string_view name) {
  return connection.number(fmt::format("SELECT value FROM marks WHERE name = '{}'", name));
}

Status read_changes(Sqlite& connection, int64_t from,
                    const std::function<Result<bool>(const ChangeEntry&)>& visit) {
  // The row that has `from` may begin before it.
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection.prepare("SELECT position, entries FROM changes WHERE position >= "
                         "coalesce((SELECT max(position) FROM changes WHERE position <= ?1), ?1) "
                         "ORDER BY position"));
  rows.bind(1, from);
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) return {};
    std::string_view rest = rows.bytes(1);
    for (ChangeEntry entry; !rest.empty();) {
      if (!take_entry(rest, entry)) return broken("changes", rows.integer(0));
      if (entry.position < from) continue;
      ASSIGN_OR_RETURN(const bool more, visit(entry));
      if (!more) return {};
    }
  }
}

Result<std::vector<AuditRow>> read_audit_rows(Sqlite& connection, const AuditRange& range,
                                              size_t limit) {
  std::vector<AuditRow> out;
  if (range.from >= range.to) return out;
  ASSIGN_OR_RETURN(SqliteStatement rows,
                   connection.prepare(fmt::format(
                       "SELECT position, entries FROM audit WHERE position < ?2 AND position >= "
                       "coalesce((SELECT max(position) FROM audit WHERE position <= ?1), ?1) "
                       "ORDER BY position {}",
                       range.newest_first ? "DESC" : "ASC")));
  rows.bind(1, range.from).bind(2, range.to);
  size_t bytes = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) return out;
    AuditBatch batch = parse_batch(rows);
    if (range.newest_first) std::reverse(batch.rows.begin(), batch.rows.end());
    for (AuditRow& each : batch.rows) {
      if (out.size() >= limit || bytes >= kAuditBytes) return out;
      if (each.position < range.from || each.position >= range.to) continue;
      bytes += each.record.size();
      out.push_back(std::move(each));
    }
    if (!batch.broken) continue;
    if (out.empty()) return broken("audit", std::max(batch.position, range.from));
    return out;
  }
}

// Rows of `objects` may for a while be newer than `objects_revision` says. The replay of load()
// ends at the same state: each such row's last change comes after that revision.
Result<Revision> update_objects(Sqlite& connection, WriteTurn& turn) {
  ASSIGN_OR_RETURN(Revision done, get_mark(connection, "objects_revision"));
  int64_t next = first_position(done + 1);
  for (bool more = true; more;) {
    LastChanges last;
    Revision newest = done;
    int64_t time = 0;
    Revision whole = done;  // the newest that is there to its end
    int64_t whole_time = 0;
    more = false;
    RETURN_IF_ERROR(read_changes(connection, next, [&](const ChangeEntry& entry) -> Result<bool> {
      if (last.bytes() >= kGatherBytes) {
        more = true;
        if (place_of(entry.position) != 0) return false;
      }
      if (revision_of(entry.position) != newest) {
        whole = newest;
        whole_time = time;
      }
      if (more) return false;
      newest = revision_of(entry.position);
      time = entry.time_us;
      next = entry.position + 1;
      last.add(entry);
      return true;
    }));
    if (!more) {
      whole = newest;
      whole_time = time;
    }
    RETURN_IF_ERROR(write_objects(connection, turn, last.sorted()));
    if (whole <= done) continue;
    const WriteTurn::Hold hold = turn.for_upkeep();
    ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(connection));
    RETURN_IF_ERROR(set_mark(connection, "objects_revision", whole));
    RETURN_IF_ERROR(set_mark(connection, "objects_time_us", whole_time));
    RETURN_IF_ERROR(write.commit());
    done = whole;
  }
  return done;
}

Status forget_changes(Sqlite& connection, WriteTurn& turn, Revision upto) {
  ASSIGN_OR_RETURN(const Revision forgotten, get_mark(connection, "forgotten"));
  const Revision limit = std::max(upto, forgotten);
  if (limit > forgotten) {
    const WriteTurn::Hold hold = turn.for_upkeep();
    RETURN_IF_ERROR(set_mark(connection, "forgotten", limit));
  }
  // A row ends where the next one begins; the newest stays.
  const Result<int64_t> end = connection.number(fmt::format(
      "SELECT position FROM changes WHERE position <= {} ORDER BY position DESC LIMIT 1",
      first_position(limit + 1)));
  if (!end) return end.error().code() == Code::kNotFound ? Status() : end.error();
  ASSIGN_OR_RETURN(PartOf part, PartOf::of(connection, "changes"));
  while (true) {
    ASSIGN_OR_RETURN(const PartOf::Rows rows, part.before(*end));
    if (rows.count == 0) return {};
    const WriteTurn::Hold hold = turn.for_upkeep();
    RETURN_IF_ERROR(part.drop(rows.last));
  }
}

// Of the last row of each part the newest entry before `position` becomes the anchor, which begins
// what is left of the row; all before it go, with the anchor that they had.
Status cut_audit_rows(Sqlite& connection, WriteTurn& turn, int64_t position) {
  ASSIGN_OR_RETURN(PartOf part, PartOf::of(connection, "audit"));
  ASSIGN_OR_RETURN(SqliteStatement read,
                   connection.prepare("SELECT position, entries FROM audit WHERE position = ?"));
  ASSIGN_OR_RETURN(SqliteStatement put,
                   connection.prepare("INSERT INTO audit (position, entries) VALUES (?, ?)"));
  while (true) {
    ASSIGN_OR_RETURN(const PartOf::Rows rows, part.before(position));
    if (rows.count == 0) return {};
    const WriteTurn::Hold hold = turn.for_upkeep();
    ASSIGN_OR_RETURN(SqliteWrite write, SqliteWrite::begin(connection));
    ASSIGN_OR_RETURN(const bool found, read.bind(1, rows.last).step());
    if (!found) return broken("audit", rows.last);
    const AuditBatch batch = parse_batch(read);
    read.reset();
    const auto kept =
        std::partition_point(batch.rows.begin(), batch.rows.end(),
                             [&](const AuditRow& row) { return row.position < position; });
    if (batch.broken || kept == batch.rows.begin()) return broken("audit", rows.last);
    const auto anchor = kept - 1;
    if (rows.count == 1 && anchor == batch.rows.begin() && anchor->record.empty()) return {};
    std::string blob;
    append_entry(blob, AuditEntry{anchor->position, {}, anchor->hash});
    for (auto row = kept; row != batch.rows.end(); ++row) append_entry(blob, *row);
    RETURN_IF_ERROR(part.drop(rows.last));
    RETURN_IF_ERROR(put.bind(1, anchor->position).bind_bytes(2, blob).run());
    RETURN_IF_ERROR(write.commit());
  }
}

}  // namespace frameworks
