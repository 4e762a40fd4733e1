// A store whose writes are done when they return, so that what happens follows from the seed alone
// and not from which thread was run first.
#pragma once

#include "store/store.h"

namespace frameworks {

class SyncStore final : public Store {
 public:
  explicit SyncStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  SnapshotPtr snapshot() const override { return store_->snapshot(); }
  Revision revision() const override { return store_->revision(); }
  uint64_t publications() const override { return store_->publications(); }
  Result<Committed> write(const Actor& actor, Edit edit) override {
    return store_->write(actor, std::move(edit));
  }
  void write_async(Actor actor, Edit edit, std::function<void(Result<Committed>)> done) override {
    done(store_->write(actor, std::move(edit)));
  }
  Result<Committed> dry_run(const Edit& edit, Snapshot* after) const override {
    return store_->dry_run(edit, after);
  }
  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) const override {
    return store_->read_audit(range, limit);
  }
  Result<std::unique_ptr<Subscription>> subscribe(Revision from,
                                                  std::function<void()> poke) override {
    return store_->subscribe(from, std::move(poke));
  }

 private:
  std::unique_ptr<Store> store_;
};

}  // namespace frameworks
