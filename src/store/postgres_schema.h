// The tables of the PostgreSQL log, and their versions.
#pragma once

#include "base/error.h"
#include "store/postgres.h"

namespace frameworks {

// What this program reads and writes.
inline constexpr int64_t kPostgresVersion = 1;

// Brings the tables to kPostgresVersion, each step once, however many servers start at the same
// time and whichever go on meanwhile. kFailedPrecondition: a newer program was here, or the
// database cannot hold a fleet (it is not in UTF-8).
Status prepare_schema(Postgres& connection);

}  // namespace frameworks
