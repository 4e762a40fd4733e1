// One connection that is made when it is needed, and made again after it broke. Threadsafe: one
// user at a time.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "store/postgres.h"

namespace frameworks {

class PostgresLine {
 public:
  // `settings` is run on each new connection; empty: nothing.
  PostgresLine(std::string conninfo, std::string settings = {})
      : conninfo_(std::move(conninfo)), settings_(std::move(settings)) {}

  // Calls `use(Postgres&)`, which returns a Result or Status, with a connection that had not been
  // hung up just before.
  template <typename Use>
  auto with(Use&& use) -> decltype(use(std::declval<Postgres&>())) {
    std::lock_guard lock(mutex_);
    if (connection_ && !connection_->is_alive()) connection_.reset();
    if (!connection_) RETURN_IF_ERROR(connect());
    auto out = use(*connection_);
    if (connection_->is_lost()) connection_.reset();
    return out;
  }

  // The same for what may be done twice: once more on a new connection when the first broke.
  template <typename Use>
  auto with_again(Use&& use) -> decltype(use(std::declval<Postgres&>())) {
    bool was_lost = false;
    auto out = with([&](Postgres& connection) {
      auto result = use(connection);
      was_lost = connection.is_lost();
      return result;
    });
    return was_lost ? with(use) : std::move(out);
  }

 private:
  Status connect() {
    ASSIGN_OR_RETURN(Postgres made, Postgres::connect(conninfo_));
    if (!settings_.empty()) RETURN_IF_ERROR(made.run(settings_));
    connection_ = std::move(made);
    return {};
  }

  const std::string conninfo_;
  const std::string settings_;
  std::mutex mutex_;
  std::optional<Postgres> connection_;
};

}  // namespace frameworks
