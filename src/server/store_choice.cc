#include "server/store_choice.h"

#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "store/postgres.h"

namespace frameworks {

Status choose_store(const std::string& file, std::string& store) {
  if (has_password(store))
    return Error(
        Code::kInvalidArgument,
        "--store: there is a password in it, which everybody on this host can read: put it "
        "into a file for --store-file, or use passfile=");
  if (store.empty() && !file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, read_file(file));
    store = trim(text);
  }
  if (const char* from = std::getenv("FRAMEWORKS_STORE"); store.empty() && from != nullptr)
    store = from;
  return {};
}

Result<std::unique_ptr<Log>> open_log(const std::filesystem::path& state, const std::string& store,
                                      const PostgresLogOptions& options) {
  if (store.empty()) return open_sqlite_log((state / "fleet.db").string());
  ASSIGN_OR_RETURN(const std::string shown, without_password(store));
  spdlog::info("store: {}", shown);
  return open_postgres_log(store, options);
}

}  // namespace frameworks
