// Long work: persisted, streamed with progress, cancellable, taken up again after a crash.
//
// A type of operation is a list of named steps. At any time at most one operation of a type runs
// and at most one waits; asking for another while one waits raises the revision of the waiting one.
// The store holds each operation's state and is the only queue; events go to a file beside it, one
// JSON line each, synced when a step ends.
//
// Of several servers the holder of the lease runs them; the others queue, cancel and watch. When it
// loses the lease it interrupts what runs, and the next holder takes it up.
//
// Steps are idempotent: after a crash an operation continues with its first step that had not
// succeeded, which may have run in part.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/locked.h"
#include "control/lease.h"
#include "control/store_follower.h"
#include "frameworks/v1/operation.pb.h"
#include "store/poke_list.h"
#include "store/store.h"

namespace frameworks {

// What a step works with. emit() and progress() are threadsafe; nothing outlives the step.
class OperationContext {
 public:
  virtual ~OperationContext() = default;
  virtual Store& store() = 0;
  virtual Clock& clock() = 0;
  // Requested when the operation was cancelled or the server stops: return soon, with any error.
  virtual std::stop_token stop() const = 0;
  virtual const std::string& operation() const = 0;
  virtual Revision revision() const = 0;
  // Sequence and time are set here; layer and elapsed time where the event has none.
  virtual void emit(pb::OperationEvent event) = 0;
  // An event that only counts: `done` of `total`, about `object`.
  void progress(const std::string& object, int64_t done, int64_t total);
};

struct Step {
  std::string name;   // "provision"
  std::string layer;  // "machine", "config" or "runtime"
  std::function<Status(OperationContext&)> run;
};

struct OperationProgress {
  std::vector<pb::OperationEvent> events;
  // Set once, with or after the last event: how it ended.
  std::optional<pb::OperationStatus> final;
};

// A watcher's place in an operation's events. Threadsafe towards the runner, not for two callers.
class OperationWatch {
 public:
  virtual ~OperationWatch() = default;
  // At most `limit` events, in order; nothing at all: wait for the next poke. kNotFound: the
  // operation was so old that it is forgotten.
  virtual Result<OperationProgress> next(size_t limit) = 0;
};

// Threadsafe from resume_all() on.
class Operations {
 public:
  struct Options {
    // Operations that have ended, to keep.
    size_t keep = 100;
    // Null: this server is alone.
    Lease* lease = nullptr;
  };
  // `directory` is for the events and is made when missing.
  Operations(Store& store, Clock& clock, std::filesystem::path directory, Options options);
  Operations(Store& store, Clock& clock, std::filesystem::path directory)
      : Operations(store, clock, std::move(directory), Options()) {}
  // Interrupts what runs and leaves it to be taken up by the next server.
  ~Operations();

  // All types are registered before resume_all().
  void register_type(std::string type, std::vector<Step> steps);
  // Takes up what was interrupted and starts to run; before Lease::start(). kUnavailable: the
  // directory cannot be used.
  Status resume_all();

  // Queues an operation and returns its name, "apply-17". kInvalidArgument: no such type.
  Result<std::string> start(const std::string& type, Revision revision, const std::string& actor);
  // The same inside a transaction that is being made, so that a change and its operation are one;
  // call wake() when it is written. `revision` 0: the transaction's own.
  // `nodes`: only these; one that waits is then for its own and these. Empty: for all.
  static std::string enqueue(Transaction& transaction, const std::string& type, Revision revision,
                             const std::string& actor, const std::vector<std::string>& nodes = {});
  void wake();

  // kNotFound; kFailedPrecondition when it has ended. Cancelling twice is cancelling once.
  Status cancel(const std::string& name, const std::string& actor = "system/operations");

  // Events after sequence number `after` (0: all). `poke` is called, on any thread, when there may
  // be something new since the last next(); it must not block nor destroy the watch.
  Result<std::unique_ptr<OperationWatch>> watch(const std::string& name, int64_t after,
                                                std::function<void()> poke);
  // Waits until it has ended. kCancelled when `stop` was requested first.
  Result<pb::OperationStatus> wait(const std::string& name, std::stop_token stop = {});

 private:
  struct Type {
    std::vector<Step> steps;
    std::jthread worker;
  };
  // What runs of a type.
  struct Active {
    std::string name;
    std::stop_source cancelled;
    std::stop_source interrupted;  // the server stops, or does not hold the lease any more
  };

  void work(const std::string& type, const std::stop_token& stop);
  Status run(const std::string& type, const std::string& name, const std::stop_token& stop);
  // What was asked of other servers.
  void follow(const std::stop_token& stop);
  void lease_changed(bool held);
  void stop_cancelled();
  [[nodiscard]] bool may_run() const { return options_.lease == nullptr || options_.lease->held(); }
  [[nodiscard]] std::optional<std::string> find_next(const std::string& type) const;
  void fail_unknown_types();
  void sweep_files();
  [[nodiscard]] std::filesystem::path file_of(const std::string& name) const;

  Store& store_;
  Clock& clock_;
  const std::filesystem::path directory_;
  const Options options_;
  PokeList pokes_;
  Locked<std::map<std::string, Active>> active_;  // by type

  std::mutex wake_mutex_;
  std::condition_variable_any woken_;
  uint64_t wakes_ = 0;

  std::map<std::string, Type> types_;
  StoreFollower changes_;  // the follower's
  std::jthread follower_;
};

}  // namespace frameworks
