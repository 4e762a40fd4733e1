// The one PostgreSQL server of a test program.
#pragma once

#include <cstdio>

#include "store/test_postgres.h"

namespace frameworks {

// Null where there can be none; says so once.
inline PostgresServer* shared_postgres() {
  static const auto started = [] {
    auto server = PostgresServer::start();
    if (!server)
      std::printf("PostgreSQL cannot be started here: %s\n", server.error().message().c_str());
    return server;
  }();
  return started ? started->get() : nullptr;
}

}  // namespace frameworks
