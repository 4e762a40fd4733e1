// The fleet: one writer, any number of readers, watchers that miss nothing.
//
// One thread drains a queue of edits, runs each against the newest state, appends all of them in
// one transaction of the log (group commit), publishes the snapshot, tells watchers, then replies.
// Acknowledged = on disk. Where other servers append to the same log the store follows it; an edit
// then runs upon the newest of all, whoever wrote it. While the log fails (a full disk) writes are
// refused with its error, reads go on, and writes return by themselves.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/seal.h"
#include "model/snapshot.h"
#include "store/changes.h"

namespace frameworks {

// A set of writes that happen at one revision or not at all. Lives during one edit.
class Transaction {
 public:
  virtual ~Transaction() = default;
  // The fleet as it is with the writes made so far. Its revision is that of the last transaction.
  virtual const Snapshot& snapshot() const = 0;
  // Creates or replaces. The store sets uid, revision, times, and counts the generation up when
  // `spec` differs; a write that changes nothing is dropped. The caller's are name, tenant, labels,
  // annotations, finalizers, spec and status. A new resource may bring its uid, which then stays:
  // whoever takes resources from outside decides whether it does (Fleet/Apply does not).
  virtual void put(Resource resource) = 0;
  template <typename T>
  void put(T message) {
    put(Resource::of<T>(std::move(message)));
  }
  // A resource with finalizers stays, with delete_time set, until a put leaves it none.
  virtual void remove(const ResourceKey& key) = 0;
  // When the transaction happens.
  virtual WallTime time() const = 0;
  // What the writes made so far touched, without repeats, in order of the first write.
  virtual std::vector<ResourceKey> changed() const = 0;
  // Adds what follows from the writes made so far (Store::open), for an edit that has to see it.
  // Where nothing is written after, it is not done again.
  virtual Status derive() = 0;
};

// Runs on the writer thread: short, no I/O. An error drops all writes of this edit. Where several
// servers write, it may run again on what another one left: what it captures it sets, and does not
// add to.
using Edit = std::function<Status(Transaction&)>;

struct Committed {
  Revision revision = 0;  // unchanged when the edit wrote nothing
  Changes changes;
};

// A watcher's place in the stream of changes. Threadsafe towards the store, not for two callers.
class Subscription {
 public:
  virtual ~Subscription() = default;
  // The next transactions' changes, whole transactions only, at most about `limit` changes; empty:
  // nothing new. Older ones come from the log and have no Change::before. kOutOfRange: fell behind
  // what is retained; start again. Call it until it is empty, then wait for a poke.
  virtual Result<std::vector<Change>> next(size_t limit) = 0;
};

class Store {
 public:
  struct Options {
    // Changes kept in memory for watchers.
    size_t window = 100'000;
    // Revisions that the log keeps for watchers that come back.
    Revision retain = 100'000;
    // The current table of the log is brought up to date each time this many changes were written.
    size_t compact_every = 262'144;
    // Parsed messages that the process keeps; when there are more, all become bytes again and are
    // parsed when they are asked for.
    int64_t messages = 400'000;
    // Entries of the audit log older than this are cut off, now and then; zero: kept for ever.
    Duration audit_keep{};
    // Edits waiting at most; more are refused with kResourceExhausted.
    size_t queue = 65'536;
    // Seals fields that are kept sealed (sealed_fields.h). Null: they are kept as they are given.
    std::shared_ptr<const SealKeys> seal{};
  };
  // `derive` runs after every edit, inside its transaction, and adds what follows from the model
  // (nodes of pools, instances of services). Loads the log and starts the writer. An edit that does
  // nothing runs `derive` alone.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Log> log, Clock& clock,
                                             Options options, Edit derive = nullptr);
  virtual ~Store() = default;  // finishes what was queued, then stops

  // The newest published snapshot; never waits.
  virtual SnapshotPtr snapshot() const = 0;
  // Its revision: one load. It is never ahead of snapshot().
  virtual Revision revision() const = 0;
  // Counts publications: another number, another snapshot, also where the revision is the same.
  virtual uint64_t publications() const = 0;
  // Waits until the edit is on disk or refused. Not from the writer thread.
  virtual Result<Committed> write(const Actor& actor, Edit edit) = 0;
  // The same without waiting; `done` is called on the writer thread and must not block. (On the
  // caller's, at once, when the queue is full.)
  virtual void write_async(Actor actor, Edit edit, std::function<void(Result<Committed>)> done) = 0;
  // What `edit` would change, without changing anything; the revision is the one it started from.
  virtual Result<Committed> dry_run(const Edit& edit, Snapshot* after) const = 0;
  // Rows of the audit log, as Log::read_audit() gives them; they may be ahead of snapshot() for a
  // moment. Each change has one (audit_chain.h), written in the transaction that wrote the change.
  virtual Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) const = 0;
  // Changes after `from`. `poke` is called (on the writer thread, must not block) when there is
  // something new since the last next(). kOutOfRange: `from` is no longer, or not yet, known.
  // kUnavailable: another server may have told of it, and this one is still behind. The
  // subscription must not outlive the store nor be destroyed in its poke.
  virtual Result<std::unique_ptr<Subscription>> subscribe(Revision from,
                                                          std::function<void()> poke) = 0;
};

// One thread's own view of the newest snapshot, for lookups on hot paths: while nothing is written
// current() costs one load, and no counter is shared between threads.
class SnapshotReader {
 public:
  explicit SnapshotReader(const Store& store)
      : store_(store), seen_(store.publications()), snapshot_(store.snapshot()) {}
  const Snapshot& current() {
    if (const uint64_t now = store_.publications(); now != seen_) {
      seen_ = now;
      snapshot_ = store_.snapshot();
    }
    return *snapshot_;
  }

 private:
  const Store& store_;
  uint64_t seen_;
  SnapshotPtr snapshot_;
};

}  // namespace frameworks
