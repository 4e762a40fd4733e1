// Which store an operator means.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "store/log.h"

namespace frameworks {

// Fills `store` from the file or from FRAMEWORKS_STORE where it is empty; it stays empty: the file
// in the state folder. kInvalidArgument: it has a password in it, and everybody on this host sees a
// process's arguments.
Status choose_store(const std::string& file, std::string& store);

// The SQLite file in the state folder, or the database that `store` names.
Result<std::unique_ptr<Log>> open_log(const std::filesystem::path& state, const std::string& store,
                                      const PostgresLogOptions& options = {});

}  // namespace frameworks
