// The durable side of the store: an ordered, append-only log of changes with a current table.
//
// One process writes (one thread of it); the log need not be threadsafe except where said. SQLite
// and PostgreSQL pass the same contract suite (log_contract.h).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/snapshot.h"

namespace frameworks {

// Who asks for a write, and where from.
struct Actor {
  Actor() = default;
  Actor(std::string actor_name, std::string from = {})
      : name(std::move(actor_name)), source(std::move(from)) {}
  Actor(const char* actor_name) : name(actor_name) {}

  std::string name;    // "account/admin", "node/core-1", "system/placement"
  std::string source;  // "grpc 10.0.0.7"; empty: the server itself
};

// What one transaction did to one resource.
struct Change {
  Revision revision = 0;  // of the transaction; all its changes share it
  WallTime time{};
  Actor actor;
  ResourceKey key;
  Resource before;  // empty: created
  Resource after;   // empty: deleted
};

class Log {
 public:
  virtual ~Log() = default;
  // Everything that is current; also tells the newest revision. Called once, first.
  virtual Result<Snapshot> load() = 0;
  // Appends changes with ascending revisions in one transaction; on disk when it returns. An error
  // does not tell whether it was written: read() does. kFailedPrecondition: the revisions do not
  // follow what is there. kResourceExhausted: the disk is full.
  virtual Status append(std::span<const Change> changes) = 0;
  // Up to `limit` revisions' changes after `after`, in order. kOutOfRange when some of them were
  // compacted. Threadsafe. Change::before is not filled.
  virtual Result<std::vector<Change>> read(Revision after, size_t limit) = 0;
  // Brings the current table up to date and forgets changes up to `upto`. Threadsafe; appends go on
  // beside it.
  virtual Status compact(Revision upto) = 0;
};

// One file (and SQLite's own -wal and -shm beside it), locked against other processes:
// kFailedPrecondition when one has it. `path` ":memory:" keeps everything in memory (for tests).
Result<std::unique_ptr<Log>> open_sqlite_log(const std::string& path);

}  // namespace frameworks
