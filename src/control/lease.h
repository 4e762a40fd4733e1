// Which of several servers does what only one may do, and which of them live.
//
// The resource Lease "servers" names the holder and counts the changes of holder (its epoch). A
// write that is the holder's alone checks both in its own transaction (fenced()), so that whoever
// lost the lease, and may not know it yet, cannot write any more, whatever clocks say.
//
// Beside the log each server counts up a number of its own twice a second. Who sees another's stand
// still for four seconds of its own clock holds it for dead; when that is the holder, it takes the
// lease. A holder that cannot count for three seconds stops by itself.
//
//   other ──holder silent for 4 s, or left──► holder ──3 s without the database, or another
//   epoch──► other
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "store/shared_log.h"
#include "store/store.h"

namespace frameworks {

// Threadsafe.
class Lease {
 public:
  virtual ~Lease() = default;

  // This server's name.
  [[nodiscard]] virtual const std::string& server() const = 0;
  // Whether this server holds the lease, as far as it knows.
  [[nodiscard]] virtual bool held() const = 0;
  // The edit, refused with kFailedPrecondition where this server does not hold the lease any more
  // with the epoch of now.
  [[nodiscard]] virtual Edit fenced(Edit edit) const = 0;
  // Whether a server of this name lives, as far as this one hears; it itself does.
  [[nodiscard]] virtual bool is_alive(const std::string& server) const = 0;
  // Before start(): `change` is called with what held() is from now on, when that changes, on the
  // lease's thread. May take its time: a holder that lost the lease is fenced already.
  virtual void on_change(std::function<void(bool held)> change) = 0;
  // Before start(): what this server tells the others, asked twice a second.
  virtual void set_report(std::function<std::string()> report) = 0;
  // What a living server told last; empty: nothing, or it does not live.
  [[nodiscard]] virtual std::string report_of(const std::string& server) const = 0;
  // kFailedPrecondition: a server of this name is up. Calls on_change()'s before it returns where
  // the lease is free, or held by an earlier process of this name.
  virtual Status start() = 0;
  // Gives it up; nobody is called any more when it returns. The destructor does the same.
  virtual void stop() = 0;
};

struct LeaseTimes {
  Duration beat = std::chrono::milliseconds(500);
  Duration dead_after = std::chrono::seconds(4);
  Duration give_up_after = std::chrono::seconds(3);
};

// Of a server that is alone: it always holds it, and writes nothing.
std::unique_ptr<Lease> make_sole_lease(std::string server);
// Of one among several. `store` is on `log`. `replaced` is called when another process has entered
// under this server's name, which then must end.
std::unique_ptr<Lease> make_shared_lease(Store& store, SharedLog& log, Clock& clock,
                                         std::string server, LeaseTimes times,
                                         std::function<void()> replaced);

// A store whose writes are the holder's alone.
class FencedStore final : public Store {
 public:
  FencedStore(Store& store, const Lease& lease) : store_(store), lease_(lease) {}

  SnapshotPtr snapshot() const override { return store_.snapshot(); }
  Revision revision() const override { return store_.revision(); }
  uint64_t publications() const override { return store_.publications(); }
  Result<Committed> write(const Actor& actor, Edit edit) override {
    return store_.write(actor, lease_.fenced(std::move(edit)));
  }
  void write_async(Actor actor, Edit edit, std::function<void(Result<Committed>)> done) override {
    store_.write_async(std::move(actor), lease_.fenced(std::move(edit)), std::move(done));
  }
  Result<Committed> dry_run(const Edit& edit, Snapshot* after) const override {
    return store_.dry_run(edit, after);
  }
  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) const override {
    return store_.read_audit(range, limit);
  }
  Result<std::unique_ptr<Subscription>> subscribe(Revision from,
                                                  std::function<void()> poke) override {
    return store_.subscribe(from, std::move(poke));
  }

 private:
  Store& store_;
  const Lease& lease_;
};

}  // namespace frameworks
