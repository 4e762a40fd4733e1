// Learns when others appended to the log in PostgreSQL, and tells them when this process did.
//
// LISTEN and one NOTIFY without payload for each batch, where the database has them; beside it, and
// alone where it has not (YugabyteDB, CockroachDB), the end of the log is looked at each `poll`.
// All on a thread and a connection of its own: NOTIFY costs the commit of the transaction it is in.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "model/snapshot.h"
#include "store/postgres_line.h"

namespace frameworks {

class PostgresFollower {
 public:
  PostgresFollower(const std::string& conninfo, bool notify, Duration poll);
  ~PostgresFollower();

  // Begins to call `changed`; once.
  void start(std::function<void()> changed);
  // This process knows the log up to here; threadsafe.
  void known(Revision revision);
  // It appended; threadsafe, never waits.
  void tell_others();

 private:
  void follow(const std::stop_token& stop);
  Status look(Postgres& connection);
  // Until there is something to do or it is time to look.
  void wait(int socket) const;

  const Duration poll_;
  PostgresLine line_;
  std::function<void()> changed_;
  std::atomic<Revision> known_ = 0;
  std::atomic<bool> tell_ = false;
  bool notify_;
  bool failing_ = false;
  MonoTime looked_{};
  Fd wake_;
  std::jthread thread_;
};

}  // namespace frameworks
