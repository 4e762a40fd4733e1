#include "store/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/memory.h"
#include "store/audit_chain.h"
#include "store/audit_retention.h"
#include "store/change_window.h"
#include "store/draft.h"
#include "store/poke_list.h"
#include "store/shared_log.h"

namespace frameworks {
namespace {

// Edits that share a commit at most: bounds how long the first one waits for the last.
constexpr size_t kBatch = 1'024;
// Revisions that are read at once from a log that has more than is published.
constexpr size_t kCatchUp = 256;
// A batch that other servers came before so often is refused. Who lost once has the turn, so that
// this takes a database that goes on breaking off.
constexpr int kTries = 20;
// Bytes of messages after which the current table is brought up to date in any case: a start
// replays what is newer.
constexpr size_t kCompactBytes = size_t{256} << 20;
// How often the parsed messages are counted.
constexpr auto kTrimCheck = std::chrono::milliseconds(200);

struct Pending {
  Actor actor;
  Edit edit;
  std::function<void(Result<Committed>)> done;
};

class StoreImpl;

class SubscriptionImpl final : public Subscription {
 public:
  SubscriptionImpl(StoreImpl& store, Revision from, std::function<void()> poke);
  ~SubscriptionImpl() override;
  Result<std::vector<Change>> next(size_t limit) override;

 private:
  StoreImpl& store_;
  Revision position_;
  std::shared_ptr<PokeList::Watcher> watcher_;
};

class StoreImpl final : public Store {
 public:
  StoreImpl(std::unique_ptr<Log> log, Clock& clock, Options options, Edit derive, Snapshot loaded,
            AuditHead head)
      : log_(std::move(log)),
        clock_(clock),
        options_(options),
        derive_(std::move(derive)),
        shared_(log_->shared()),
        window_(options.window, loaded.revision()),
        head_(std::move(head)) {
    publish(std::move(loaded));
    writer_ = std::jthread([this](const std::stop_token& stop) { write_loop(stop); });
    upkeep_ = std::jthread([this](const std::stop_token& stop) { upkeep_loop(stop); });
    if (shared_ != nullptr) shared_->follow([this] { fall_behind(); });
  }
  ~StoreImpl() override {
    writer_.request_stop();
    writer_.join();
    upkeep_.request_stop();
    upkeep_.join();
    log_.reset();  // while what it calls is still there
  }

  SnapshotPtr snapshot() const override { return published_.load(); }
  Revision revision() const override { return revision_.load(std::memory_order_acquire); }
  uint64_t publications() const override { return publications_.load(std::memory_order_acquire); }
  Result<Committed> write(const Actor& actor, Edit edit) override;
  void write_async(Actor actor, Edit edit, std::function<void(Result<Committed>)> done) override;
  Result<Committed> dry_run(const Edit& edit, Snapshot* after) const override;
  Result<std::vector<AuditRow>> read_audit(const AuditRange& range, size_t limit) const override {
    return log_->read_audit(range, limit);
  }
  Result<std::unique_ptr<Subscription>> subscribe(Revision from,
                                                  std::function<void()> poke) override;

 private:
  friend class SubscriptionImpl;

  void write_loop(const std::stop_token& stop);
  // What the writer has to do next; nothing: stop.
  struct Work {
    std::vector<Pending> batch;
    bool behind = false;
  };
  Work take(const std::stop_token& stop);
  void fall_behind();
  void commit(std::vector<Pending> batch);
  // What a commit leaves to be freed.
  struct Leftover {
    std::shared_ptr<Snapshot::Loans> loans;  // settled when what follows has gone
    SnapshotPtr before;
    std::vector<Changes> dropped;  // of the window
  };
  Status try_commit(const std::vector<Pending>& batch, std::vector<Result<Committed>>& results,
                    Leftover& leftover);
  Status apply(const Pending& pending, Snapshot& working, WallTime time,
               std::vector<Change>& out) const;
  Status catch_up();
  static void take_in(std::vector<Change> changes, Snapshot& working,
                      std::vector<Changes>& out);
  Status start_again();
  void note_health(const Status& appended);
  void publish(Snapshot snapshot);
  void trim_messages();
  // With the upkeep's lock.
  [[nodiscard]] bool is_compaction_due() const {
    return written_ >= options_.compact_every || written_bytes_ >= kCompactBytes;
  }
  void upkeep_loop(const std::stop_token& stop);
  // Changes after `after` that are published, from memory or else from the log.
  Result<std::vector<Change>> changes_after(Revision after, size_t limit);
  WallTime next_time(const Snapshot& snapshot) const;

  std::unique_ptr<Log> log_;
  Clock& clock_;
  const Options options_;
  const Edit derive_;
  SharedLog* const shared_;  // null: nobody else appends

  std::atomic<SnapshotPtr> published_;
  std::atomic<Revision> revision_ = 0;
  std::atomic<uint64_t> publications_ = 0;
  std::atomic<std::shared_ptr<Snapshot::Lease>> lease_ = std::make_shared<Snapshot::Lease>();
  ChangeWindow window_;
  PokeList pokes_;

  std::mutex queue_mutex_;
  std::condition_variable_any queue_grown_;
  std::deque<Pending> queue_;
  bool behind_ = false;  // the log may have more than is published

  // The writer thread's own: where the audit log has come to; the last append failed, and may yet
  // have reached the log.
  AuditHead head_;
  bool uncertain_ = false;
  bool failing_ = false;

  std::mutex upkeep_mutex_;
  std::condition_variable_any upkeep_due_;
  size_t written_ = 0;        // changes since the last compaction
  size_t written_bytes_ = 0;  // of their messages

  std::jthread writer_;
  std::jthread upkeep_;
};

WallTime StoreImpl::next_time(const Snapshot& snapshot) const {
  // The log keeps microseconds; and the clock may have been set back.
  return std::max<WallTime>(std::chrono::floor<std::chrono::microseconds>(clock_.wall()),
                            snapshot.time());
}

Result<Committed> StoreImpl::write(const Actor& actor, Edit edit) {
  CHECK(std::this_thread::get_id() != writer_.get_id());
  std::promise<Result<Committed>> promise;
  std::future<Result<Committed>> result = promise.get_future();
  write_async(actor, std::move(edit),
              [&](Result<Committed> committed) { promise.set_value(std::move(committed)); });
  return result.get();
}

void StoreImpl::write_async(Actor actor, Edit edit, std::function<void(Result<Committed>)> done) {
  {
    std::lock_guard lock(queue_mutex_);
    if (queue_.size() < options_.queue) {
      queue_.push_back({std::move(actor), std::move(edit), std::move(done)});
      done = nullptr;
    }
  }
  if (done) {
    done(Error(Code::kResourceExhausted,
               fmt::format("{} writes are waiting: try again later", options_.queue)));
    return;
  }
  queue_grown_.notify_one();
}

StoreImpl::Work StoreImpl::take(const std::stop_token& stop) {
  std::unique_lock lock(queue_mutex_);
  queue_grown_.wait(lock, stop, [this] { return !queue_.empty() || behind_; });
  const auto count = static_cast<std::ptrdiff_t>(std::min(kBatch, queue_.size()));
  const auto end = queue_.begin() + count;
  Work work{{std::make_move_iterator(queue_.begin()), std::make_move_iterator(end)},
            std::exchange(behind_, false)};
  queue_.erase(queue_.begin(), end);
  return work;
}

void StoreImpl::fall_behind() {
  {
    std::lock_guard lock(queue_mutex_);
    behind_ = true;
  }
  queue_grown_.notify_one();
}

void StoreImpl::write_loop(const std::stop_token& stop) {
  while (true) {
    Work work = take(stop);
    if (work.batch.empty() && (!work.behind || stop.stop_requested())) return;
    // When it fails the log will say again that there is more.
    if (work.behind) (void)catch_up();
    if (!work.batch.empty()) commit(std::move(work.batch));
  }
}

Status StoreImpl::apply(const Pending& pending, Snapshot& working, WallTime time,
                        std::vector<Change>& out) const {
  Draft draft(working, time, options_.seal.get(), derive_);
  Status status = pending.edit(draft);
  if (status) status = draft.derive();
  if (status) {
    draft.finish(pending.actor, out);
  } else {
    draft.undo();
  }
  return status;
}

// Runs the batch upon what is published, appends and publishes it. kAborted: that was not the
// newest, and nothing has happened.
Status StoreImpl::try_commit(const std::vector<Pending>& batch,
                             std::vector<Result<Committed>>& results, Leftover& leftover) {
  Snapshot working = *published_.load();
  working.borrow();
  const Revision before = working.revision();
  const WallTime time = next_time(working);
  std::vector<Change> changes;
  std::vector<size_t> ends;  // in `changes`, of what each edit did
  results.clear();
  results.reserve(batch.size());
  changes.reserve(batch.size());
  ends.reserve(batch.size());
  for (const Pending& pending : batch) {
    Status status = apply(pending, working, time, changes);
    results.push_back(status ? Result<Committed>(Committed{working.revision(), {}})
                             : Result<Committed>(std::move(status.error())));
    ends.push_back(changes.size());
  }
  if (changes.empty()) {
    // What found nothing to write must have looked at the newest, too.
    if (shared_ == nullptr) return {};
    RETURN_IF_ERROR(catch_up());
    return revision() == before ? Status() : Error(Code::kAborted, "other servers wrote");
  }
  AuditHead head = head_;
  Status appended = log_->append(changes, chain(changes, head));
  if (!appended && appended.error().code() == Code::kAborted) return appended;
  uncertain_ = !appended;
  note_health(appended);
  if (!appended) return appended;
  head_ = std::move(head);
  size_t bytes = 0;
  for (const Change& change : changes)
    if (change.after_row) bytes += change.after_row->bytes().size();
  const auto list = std::make_shared<const ChangeList>(std::move(changes));
  std::vector<Changes> transactions;
  transactions.reserve(results.size());
  for (size_t i = 0, from = 0; i < results.size(); from = ends[i++]) {
    if (from == ends[i]) continue;
    transactions.emplace_back(list, from, ends[i]);
    results[i]->changes = transactions.back();
  }
  window_.add(transactions, leftover.dropped);
  leftover.loans = working.take_loans();
  publish(std::move(working));
  pokes_.poke();
  std::lock_guard lock(upkeep_mutex_);
  written_ += list->size();
  written_bytes_ += bytes;
  if (is_compaction_due()) upkeep_due_.notify_one();
  return {};
}

void StoreImpl::commit(std::vector<Pending> batch) {
  // What only the snapshot of before holds, and what is too old for the window, is freed after the
  // answers: next edits come meanwhile.
  Leftover leftover{.loans = {}, .before = published_.load(), .dropped = {}};
  std::vector<Result<Committed>> results;
  Status status = uncertain_ ? catch_up() : Status();
  for (int tries = 1; status; ++tries) {
    status = try_commit(batch, results, leftover);
    if (status || status.error().code() != Code::kAborted || tries == kTries) break;
    // Another server was first: the edits run again on what it left, and then it has to wait.
    if (shared_ != nullptr) status = shared_->take_turn();
    if (status) status = catch_up();
  }
  if (shared_ != nullptr) shared_->end_turn();
  // Refusals too were decided upon a state that is lost now.
  if (!status) results.assign(batch.size(), status.error().with_context("the log is not writable"));
  for (size_t i = 0; i < batch.size(); ++i) batch[i].done(std::move(results[i]));
}

// A line when it begins and one when it ends, however many writes are refused between.
void StoreImpl::note_health(const Status& appended) {
  if (!appended && !failing_)
    spdlog::error("store: writes are refused: {}", appended.error().message());
  if (appended && failing_) spdlog::info("store: writes are accepted again");
  failing_ = !appended;
}

// The log may have more than is published: what other servers appended, and, after a failed append,
// what it was about (a lost connection in mid-commit).
Status StoreImpl::catch_up() {
  Snapshot working = *published_.load();
  const Revision before = working.revision();
  std::vector<Changes> transactions;
  while (true) {
    auto changes = log_->read(working.revision(), kCatchUp);
    if (!changes && changes.error().code() == Code::kOutOfRange) return start_again();
    if (!changes) return std::move(changes.error());
    if (changes->empty()) break;
    take_in(*std::move(changes), working, transactions);
  }
  if (uncertain_ && working.revision() != before)
    spdlog::info("store: revisions {} to {} had reached the log after all", before + 1,
                 working.revision());
  if (working.revision() != before) {
    ASSIGN_OR_RETURN(head_, audit_head(*log_, working.revision()));
  }
  uncertain_ = false;
  if (working.revision() == before) return {};
  // Only now: what failed half-way will be read again, and must not be told twice.
  std::vector<Changes> dropped;
  window_.add(transactions, dropped);
  publish(std::move(working));
  pokes_.poke();
  return {};
}

// Puts changes of the log into the working snapshot and, with Change::before, into `out`.
void StoreImpl::take_in(std::vector<Change> changes, Snapshot& working,
                        std::vector<Changes>& out) {
  std::vector<Change> transaction;
  for (size_t i = 0; i < changes.size(); ++i) {
    Change& change = changes[i];
    const Revision revision = change.revision;
    if (const Resource* found = working.find(change.key); found != nullptr) change.before = *found;
    if (change.after) {
      working.put(change.after);
    } else {
      working.remove(change.key);
    }
    const bool is_last = i + 1 == changes.size() || changes[i + 1].revision != revision;
    const WallTime time = change.time;
    transaction.push_back(std::move(change));
    if (!is_last) continue;
    working.set_revision(revision, time);
    out.emplace_back(std::exchange(transaction, {}));
  }
}

// This process stood still for so long that the log has forgotten what comes next. Watchers of what
// is left out are told to start again, too.
Status StoreImpl::start_again() {
  ASSIGN_OR_RETURN(Snapshot loaded, log_->load());
  spdlog::warn("store: the fleet was loaded again: revisions {} to {} were missed", revision() + 1,
               loaded.revision());
  ASSIGN_OR_RETURN(head_, audit_head(*log_, loaded.revision()));
  window_.start_again(loaded.revision());
  uncertain_ = false;
  publish(std::move(loaded));
  pokes_.poke();
  return {};
}

void StoreImpl::publish(Snapshot snapshot) {
  const Revision revision = snapshot.revision();
  snapshot.set_lease(lease_.load());
  published_.store(std::make_shared<const Snapshot>(std::move(snapshot)));
  revision_.store(revision, std::memory_order_release);
  publications_.fetch_add(1, std::memory_order_release);
}

// The messages go to the newest lease, which every snapshot that exists holds on to; from then on
// snapshots have another one, so that the last reader of an older snapshot frees the messages.
void StoreImpl::trim_messages() {
  auto messages = published_.load()->release_messages();
  const auto next = std::make_shared<Snapshot::Lease>();
  lease_.exchange(next)->retire(std::move(messages), next);
  SnapshotPtr now = published_.load();
  Snapshot again = *now;
  again.set_lease(next);
  // When this is too late, a newer snapshot was published, which will do.
  if (published_.compare_exchange_strong(now, std::make_shared<const Snapshot>(std::move(again))))
    publications_.fetch_add(1, std::memory_order_release);
  now.reset();
  release_free_memory();
}

void StoreImpl::upkeep_loop(const std::stop_token& stop) {
  AuditRetention retention(*log_, clock_, options_.audit_keep);
  while (true) {
    {
      std::unique_lock lock(upkeep_mutex_);
      const auto due = [this] { return is_compaction_due(); };
      const bool compact = upkeep_due_.wait_for(lock, stop, kTrimCheck, due);
      if (stop.stop_requested()) return;
      if (compact) written_ = written_bytes_ = 0;
      lock.unlock();
      if (Snapshot::parsed_count() > options_.messages) trim_messages();
      if (const Status status = retention.run(snapshot()->revision()); !status)
        spdlog::warn("store: cutting the audit log will be tried again: {}",
                     status.error().message());
      if (!compact) continue;
    }
    if (const Status status = log_->compact(revision() - options_.retain); !status)
      spdlog::warn("store: compaction will be tried again: {}", status.error().message());
  }
}

Result<Committed> StoreImpl::dry_run(const Edit& edit, Snapshot* after) const {
  const SnapshotPtr base = snapshot();
  Snapshot working = *base;
  std::vector<Change> changes;
  RETURN_IF_ERROR(apply({"", edit, nullptr}, working, next_time(working), changes));
  if (after != nullptr) *after = std::move(working);
  return Committed{base->revision(), std::move(changes)};
}

Result<std::vector<Change>> StoreImpl::changes_after(Revision after, size_t limit) {
  const Revision last = revision();
  if (auto recent = window_.read(after, last, limit); recent) return *std::move(recent);
  const size_t revisions = std::clamp<size_t>(limit, 1, 256);  // one may hold a whole fleet
  ASSIGN_OR_RETURN(std::vector<Change> changes, log_->read(after, revisions));
  // The log is ahead of what is published for a moment, or for good where an append went wrong.
  std::erase_if(changes, [&](const Change& change) { return change.revision > last; });
  return changes;
}

Result<std::unique_ptr<Subscription>> StoreImpl::subscribe(Revision from,
                                                           std::function<void()> poke) {
  // Not revision(): that lags behind the snapshot from which a caller took `from` for a moment.
  const Revision newest = snapshot()->revision();
  if (from > newest && shared_ != nullptr) {
    fall_behind();
    return Error(
        Code::kUnavailable,
        fmt::format("this server is at revision {}, and not at {} yet: try again", newest, from));
  }
  if (from > newest)
    return Error(Code::kOutOfRange,
                 fmt::format("revision {} is not known: the newest is {}", from, newest));
  RETURN_IF_ERROR(changes_after(from, 1));
  return std::make_unique<SubscriptionImpl>(*this, from, std::move(poke));
}

SubscriptionImpl::SubscriptionImpl(StoreImpl& store, Revision from, std::function<void()> poke)
    : store_(store), position_(from), watcher_(store.pokes_.add(std::move(poke))) {}

SubscriptionImpl::~SubscriptionImpl() { store_.pokes_.remove(watcher_); }

Result<std::vector<Change>> SubscriptionImpl::next(size_t limit) {
  watcher_->look();
  ASSIGN_OR_RETURN(std::vector<Change> changes, store_.changes_after(position_, limit));
  if (!changes.empty()) position_ = changes.back().revision;
  return changes;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(std::unique_ptr<Log> log, Clock& clock, Options options,
                                           Edit derive) {
  ASSIGN_OR_RETURN(Snapshot loaded, log->load());
  ASSIGN_OR_RETURN(AuditHead head, audit_head(*log, loaded.revision()));
  if (revision_of(head.position) != loaded.revision())
    spdlog::error(
        "store: the audit log ends at revision {}, the fleet is at {}: run \"frameworks "
        "audit verify\"",
        revision_of(head.position), loaded.revision());
  return std::make_unique<StoreImpl>(std::move(log), clock, options, std::move(derive),
                                     std::move(loaded), std::move(head));
}

}  // namespace frameworks
