// The upkeep of the SQLite log's tables, and reading their rows.
#pragma once

#include <functional>
#include <vector>

#include "store/sqlite.h"
#include "store/sqlite_batch.h"
#include "store/write_turn.h"

namespace frameworks {

// Calls `visit` for the changes from a position on, in order, until it returns false.
Status read_changes(Sqlite& connection, int64_t from,
                    const std::function<Result<bool>(const ChangeEntry&)>& visit);
// Log::read_audit(). kDataLoss, naming the revision: the bytes of the first row are broken.
Result<std::vector<AuditRow>> read_audit_rows(Sqlite& connection, const AuditRange& range,
                                              size_t limit);

// These write a little at a time and let appends go first.

// Brings `objects` up to date; gives the revision that it is at.
Result<Revision> update_objects(Sqlite& connection, WriteTurn& turn);
// Forgets changes up to the revision: raises the mark, and drops the rows that have no later ones.
Status forget_changes(Sqlite& connection, WriteTurn& turn, Revision upto);
// Log::cut_audit().
Status cut_audit_rows(Sqlite& connection, WriteTurn& turn, int64_t position);

Result<int64_t> get_mark(Sqlite& connection, std::string_view name);

}  // namespace frameworks
