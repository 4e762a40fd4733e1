// What makes a server one of several: the log they share, its name, and keys that are the same on
// all of them.
//
// Keys are never in the database. An operator copies them from the state folder of a server that
// works to that of a new one; the database has a hash of each, so that a server with other keys,
// which would sign for another fleet, does not start.
#pragma once

#include <memory>
#include <string>

#include "server/quartermaster.h"
#include "store/log.h"
#include "store/shared_log.h"

namespace frameworks {

// As given, or "<host>:<port of gRPC>".
std::string replica_name(const QuartermasterOptions& options);

// Before keys are made: kFailedPrecondition, with the files to copy, where the fleet has keys and
// the state folder has none.
Status require_keys(SharedLog& log, const std::filesystem::path& state);
// After: kFailedPrecondition where one is not the fleet's. The first server's are the fleet's.
Status compare_keys(SharedLog& log, const std::filesystem::path& state);

}  // namespace frameworks
