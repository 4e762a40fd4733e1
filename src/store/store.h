// The fleet: one writer, any number of readers, watchers that miss nothing.
//
// One thread drains a queue of edits, runs each against the newest state, appends all of them in
// one transaction of the log (group commit), publishes the snapshot, tells watchers, then replies.
// Acknowledged = on disk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/snapshot.h"
#include "store/log.h"

namespace frameworks {

// A set of writes that happen at one revision or not at all. Lives during one edit.
class Transaction {
 public:
  virtual ~Transaction() = default;
  // The fleet as it is with the writes made so far.
  virtual const Snapshot& snapshot() const = 0;
  // Creates or replaces. The store sets uid, revision, times, and counts the generation up when
  // `spec` differs; a write that changes nothing is dropped.
  virtual void put(Resource resource) = 0;
  template <typename T>
  void put(T message) {
    put(Resource::of<T>(std::move(message)));
  }
  virtual void remove(const ResourceKey& key) = 0;
  // When the transaction happens.
  virtual WallTime time() const = 0;
};

// Runs on the writer thread: short, no I/O. An error drops all writes of this edit.
using Edit = std::function<Status(Transaction&)>;

struct Committed {
  Revision revision = 0;  // unchanged when the edit wrote nothing
  std::vector<Change> changes;
};

// A watcher's place in the stream of changes. Threadsafe towards the store, not for two callers.
class Subscription {
 public:
  virtual ~Subscription() = default;
  // The next transactions' changes, whole transactions only, at most about `limit` changes; empty:
  // nothing new. kOutOfRange: fell behind what is retained; start again.
  virtual Result<std::vector<Change>> next(size_t limit) = 0;
};

class Store {
 public:
  struct Options {
    // Changes kept in memory for watchers.
    size_t window = 100'000;
  };
  // `derive` runs after every edit, inside its transaction, and adds what follows from the model
  // (nodes of pools, instances of services). Loads the log and starts the writer.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Log> log, Clock& clock,
                                             Options options, Edit derive = nullptr);
  virtual ~Store() = default;  // finishes what was queued, then stops

  // The newest published snapshot; never waits.
  virtual SnapshotPtr snapshot() const = 0;
  // Waits until the edit is on disk or refused.
  virtual Result<Committed> write(const std::string& actor, Edit edit) = 0;
  // The same without waiting; `done` is called on the writer thread and must not block.
  virtual void write_async(std::string actor, Edit edit,
                           std::function<void(Result<Committed>)> done) = 0;
  // What `edit` would change, without changing anything.
  virtual Result<Committed> dry_run(const Edit& edit, Snapshot* after) const = 0;
  // Changes after `from`. `poke` is called (on the writer thread, must not block) whenever there is
  // something new.
  virtual Result<std::unique_ptr<Subscription>> subscribe(Revision from,
                                                          std::function<void()> poke) = 0;
};

}  // namespace frameworks
