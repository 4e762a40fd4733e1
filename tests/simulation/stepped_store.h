// The store of a simulation: its transactions and its window of changes are the real ones, but it
// has no thread and no disk, so that what happens follows from the seed alone. What is written
// without waiting waits for settle(), and is then done as one group, as the real one's writer does
// with what is queued.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "store/change_window.h"
#include "store/store.h"

namespace frameworks {

// Not threadsafe. Tells nobody of changes: subscriptions are asked.
class SteppedStore final : public Store {
 public:
  SteppedStore(Clock& clock, Edit derive);

  // When it returns, all that was written so far is done.
  void settle();

  SnapshotPtr snapshot() const override { return published_; }
  Revision revision() const override { return published_->revision(); }
  uint64_t publications() const override { return publications_; }
  Result<Committed> write(const Actor& actor, Edit edit) override;
  void write_async(Actor actor, Edit edit, std::function<void(Result<Committed>)> done) override;
  Result<Committed> dry_run(const Edit& edit, Snapshot* after) const override;
  // There is no audit log.
  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) const override;
  Result<std::unique_ptr<Subscription>> subscribe(Revision from,
                                                  std::function<void()> poke) override;

 private:
  struct Waiting {
    Actor actor;
    Edit edit;
    std::function<void(Result<Committed>)> done;
  };
  Result<Committed> apply(const Actor& actor, const Edit& edit, Snapshot& working) const;
  void publish(Snapshot snapshot);

  Clock& clock_;
  const Edit derive_;
  SnapshotPtr published_ = std::make_shared<const Snapshot>();
  uint64_t publications_ = 0;
  std::shared_ptr<ChangeWindow> window_;
  std::vector<Waiting> waiting_;
};

}  // namespace frameworks
