// The one PostgreSQL server of a test program.
#pragma once

#include "store/test_postgres.h"

namespace frameworks {

inline const Result<std::unique_ptr<PostgresServer>>& started_postgres() {
  static const auto started = PostgresServer::start();
  return started;
}
// Null where there can be none.
inline PostgresServer* shared_postgres() {
  return started_postgres() ? started_postgres()->get() : nullptr;
}
// Why there is none; empty: there is one.
inline std::string why_no_postgres() {
  if (started_postgres()) return {};
  return "PostgreSQL cannot be started here: " + started_postgres().error().message();
}

}  // namespace frameworks
