// The tables of the SQLite log, and opening its connections.
#pragma once

#include <string>

#include "base/error.h"
#include "store/sqlite.h"

namespace frameworks {

// Creates the tables in an empty file, in WAL mode; brings those of an older program up to date in
// one transaction. kFailedPrecondition: the file is not ours or was written by a newer program.
Status prepare_schema(Sqlite& connection);

// A connection whose commits are on disk when they return; it never moves the WAL into the file.
Result<Sqlite> open_for_append(const std::string& name);
// One whose commits are ordered with the others', but on disk only after the next append.
Result<Sqlite> open_for_upkeep(const std::string& name);

}  // namespace frameworks
