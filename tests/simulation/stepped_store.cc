#include "simulation/stepped_store.h"

#include <algorithm>
#include <utility>

#include "store/draft.h"

namespace frameworks {
namespace {

// Changes that subscriptions may be behind: more than what one step makes.
constexpr size_t kWindow = 100'000;

class Subscribed final : public Subscription {
 public:
  Subscribed(const SteppedStore& store, std::shared_ptr<const ChangeWindow> window, Revision from)
      : store_(store), window_(std::move(window)), position_(from) {}

  Result<std::vector<Change>> next(size_t limit) override {
    auto changes = window_->read(position_, store_.revision(), limit);
    if (!changes) return Error(Code::kOutOfRange, "changes are no longer known");
    if (!changes->empty()) position_ = changes->back().revision;
    return std::move(*changes);
  }

 private:
  const SteppedStore& store_;
  std::shared_ptr<const ChangeWindow> window_;
  Revision position_;
};

}  // namespace

SteppedStore::SteppedStore(Clock& clock, Edit derive)
    : clock_(clock),
      derive_(std::move(derive)),
      window_(std::make_shared<ChangeWindow>(kWindow, Revision{0})) {}

Result<Committed> SteppedStore::apply(const Actor& actor, const Edit& edit,
                                      Snapshot& working) const {
  const auto now = std::chrono::floor<std::chrono::microseconds>(clock_.wall());
  Draft draft(working, std::max<WallTime>(now, working.time()), nullptr, derive_);
  Status status = edit(draft);
  if (status) status = draft.derive();
  if (!status) {
    draft.undo();
    return std::move(status.error());
  }
  std::vector<Change> changes;
  draft.finish(actor, changes);
  return Committed{working.revision(), std::move(changes)};
}

void SteppedStore::publish(Snapshot snapshot) {
  published_ = std::make_shared<const Snapshot>(std::move(snapshot));
  ++publications_;
}

void SteppedStore::settle() {
  if (waiting_.empty()) return;
  const auto group = std::exchange(waiting_, {});
  std::vector<Result<Committed>> results;
  std::vector<Changes> transactions;
  std::vector<Changes> dropped;
  Snapshot working = *published_;
  for (const Waiting& each : group) {
    results.push_back(apply(each.actor, each.edit, working));
    if (results.back() && !results.back()->changes.empty())
      transactions.push_back(results.back()->changes);
  }
  window_->add(transactions, dropped);
  publish(std::move(working));
  for (size_t i = 0; i < group.size(); ++i) group[i].done(std::move(results[i]));
}

Result<Committed> SteppedStore::write(const Actor& actor, Edit edit) {
  Result<Committed> result = Committed{};
  write_async(actor, std::move(edit), [&](Result<Committed> done) { result = std::move(done); });
  settle();
  return result;
}

void SteppedStore::write_async(Actor actor, Edit edit,
                               std::function<void(Result<Committed>)> done) {
  waiting_.push_back({std::move(actor), std::move(edit), std::move(done)});
}

Result<Committed> SteppedStore::dry_run(const Edit& edit, Snapshot* after) const {
  Snapshot working = *published_;
  ASSIGN_OR_RETURN(Committed committed, apply("", edit, working));
  committed.revision = published_->revision();
  if (after != nullptr) *after = std::move(working);
  return committed;
}

Result<std::vector<AuditRow>> SteppedStore::read_audit(const AuditRange&, size_t) const {
  return std::vector<AuditRow>();
}

Result<std::unique_ptr<Subscription>> SteppedStore::subscribe(Revision from,
                                                              std::function<void()>) {
  return std::unique_ptr<Subscription>(std::make_unique<Subscribed>(*this, window_, from));
}

}  // namespace frameworks
