// Upkeep of the log in PostgreSQL, a bounded transaction at a time, so that appends go on between.
// One server at a time: rows of `marks` are the lock.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "store/log.h"
#include "store/postgres.h"

namespace frameworks {

// Brings `objects` further; false: it is at the end of the log.
Result<bool> compact_once(Postgres& connection);
// Forgets some more changes; false: nothing up to `upto` is left, or `objects` lacks it.
Result<bool> forget_once(Postgres& connection, Revision upto);
// Forgets audit rows before `position`. The position of the anchor afterwards; 0: there is nothing
// before `position`.
Result<int64_t> cut_audit_once(Postgres& connection, int64_t position);

}  // namespace frameworks
