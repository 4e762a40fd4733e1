#include "control/operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/log.h"
#include "control/operation_run.h"

namespace frameworks {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".jsonl";
// The store pokes: nothing is due at a time of its own.
constexpr Duration kLook = std::chrono::hours(1);

// 17 of "apply-17"; 0 when it is none of `type`.
int64_t number_of(std::string_view name, const std::string& type) {
  if (!name.starts_with(type + "-")) return 0;
  name.remove_prefix(type.size() + 1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

Error not_found(const std::string& name) {
  return Error(
      Code::kNotFound,
      fmt::format("operation \"{}\" is not known: `frameworks get operations` lists them", name));
}

// An operation without nodes is for all of them.
void unite_nodes(pb::OperationSpec& spec, const std::vector<std::string>& more) {
  if (spec.nodes().empty() || more.empty()) return spec.clear_nodes();
  std::set<std::string> all(spec.nodes().begin(), spec.nodes().end());
  all.insert(more.begin(), more.end());
  spec.mutable_nodes()->Assign(all.begin(), all.end());
}

class WatchImpl final : public OperationWatch {
 public:
  WatchImpl(Store& store, PokeList& pokes, std::string name, OperationJournalReader reader,
            std::function<void()> poke)
      : store_(store),
        pokes_(pokes),
        name_(std::move(name)),
        reader_(std::move(reader)),
        watcher_(pokes.add(std::move(poke))) {}
  ~WatchImpl() override { pokes_.remove(watcher_); }

  Result<OperationProgress> next(size_t limit) override {
    watcher_->look();
    // The state first: what is in the file by then is all there will be when it has ended.
    const SnapshotPtr snapshot = store_.snapshot();
    const auto* operation = snapshot->find<pb::Operation>(name_);
    if (operation == nullptr) return not_found(name_);
    OperationProgress progress;
    ASSIGN_OR_RETURN(progress.events, reader_.next(limit));
    if (progress.events.size() < limit && has_ended(*operation))
      progress.final = operation->status();
    return progress;
  }

 private:
  Store& store_;
  PokeList& pokes_;
  const std::string name_;
  OperationJournalReader reader_;
  std::shared_ptr<PokeList::Watcher> watcher_;
};

}  // namespace

Operations::Operations(Store& store, Clock& clock, fs::path directory, Options options)
    : store_(store),
      clock_(clock),
      directory_(std::move(directory)),
      options_(options),
      // Whatever it was: the store is looked at.
      changes_(
          store, "operations", [](const Snapshot&) {}, [](const Change&) {}) {}

Operations::~Operations() {
  follower_.request_stop();
  if (follower_.joinable()) follower_.join();
  for (auto& [name, type] : types_) type.worker.request_stop();
  for (auto& [name, type] : types_)
    if (type.worker.joinable()) type.worker.join();
}

void Operations::register_type(std::string type, std::vector<Step> steps) {
  CHECK(types_.try_emplace(std::move(type), Type{std::move(steps), {}}).second);
}

fs::path Operations::file_of(const std::string& name) const {
  return directory_ / (name + kSuffix);
}

Status Operations::resume_all() {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error)
    return Error(Code::kUnavailable,
                 fmt::format("create {}: {}", directory_.string(), error.message()));
  sweep_files();
  if (options_.lease == nullptr) {
    fail_unknown_types();
  } else {
    options_.lease->on_change([this](bool held) { lease_changed(held); });
    RETURN_IF_ERROR(changes_.start());
    follower_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
  }
  for (auto& [name, type] : types_)
    type.worker =
        std::jthread([this, &name = name](const std::stop_token& stop) { work(name, stop); });
  return {};
}

void Operations::lease_changed(bool held) {
  if (held) {
    fail_unknown_types();
  } else {
    active_.with([](auto& active) {
      for (auto& [type, run] : active) run.interrupted.request_stop();
    });
  }
  wake();
}

// Operations that other servers queued, cancelled or ran to their end.
void Operations::follow(const std::stop_token& stop) {
  do {
    changes_.catch_up();
    stop_cancelled();
    wake();
    pokes_.poke();
  } while (changes_.wait(clock_, kLook, stop));
}

// A run that begins later sees it in the store, one that has begun is here.
void Operations::stop_cancelled() {
  const SnapshotPtr snapshot = store_.snapshot();
  active_.with([&](auto& active) {
    for (auto& [type, run] : active) {
      const auto* operation = snapshot->find<pb::Operation>(run.name);
      if (operation != nullptr && operation->spec().cancelled()) run.cancelled.request_stop();
    }
  });
}

// Left by a program that knew more types: nobody will run them, so nobody shall wait for them.
void Operations::fail_unknown_types() {
  const auto fail = [&](Transaction& transaction) -> Status {
    for (const auto& found : transaction.snapshot().list<pb::Operation>()) {
      if (has_ended(*found) || types_.contains(found->spec().type())) continue;
      pb::Operation operation = *found;
      operation.mutable_status()->set_state(pb::OPERATION_STATE_FAILED);
      operation.mutable_status()->set_error(
          fmt::format("this server knows no operations of type \"{}\"", operation.spec().type()));
      transaction.put(std::move(operation));
    }
    return {};
  };
  if (const auto written = store_.write(kOperationsActor, fail); !written)
    spdlog::warn("operations: {}", written.error().message());
}

void Operations::sweep_files() {
  std::error_code ignored;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory_, ignored))
    if (entry.path().extension() == kSuffix) files.push_back(entry.path());
  // The store after the files: an operation is in it before it has one.
  const SnapshotPtr snapshot = store_.snapshot();
  for (const fs::path& file : files)
    if (snapshot->find<pb::Operation>(file.stem().string()) == nullptr) fs::remove(file, ignored);
}

std::string Operations::enqueue(Transaction& transaction, const std::string& type,
                                Revision revision, const std::string& actor,
                                const std::vector<std::string>& nodes) {
  if (revision == 0) revision = transaction.snapshot().revision() + 1;
  int64_t newest = 0;
  for (const auto& found : transaction.snapshot().list<pb::Operation>()) {
    if (found->spec().type() != type) continue;
    newest = std::max(newest, number_of(found->metadata().name(), type));
    if (found->status().state() != pb::OPERATION_STATE_UNSPECIFIED) continue;
    pb::Operation waiting = *found;
    waiting.mutable_spec()->set_revision(std::max(waiting.spec().revision(), revision));
    waiting.mutable_spec()->set_actor(actor);
    unite_nodes(*waiting.mutable_spec(), nodes);
    transaction.put(std::move(waiting));
    return found->metadata().name();
  }
  pb::Operation operation;
  operation.mutable_metadata()->set_name(fmt::format("{}-{}", type, newest + 1));
  operation.mutable_spec()->set_type(type);
  operation.mutable_spec()->set_revision(revision);
  operation.mutable_spec()->set_actor(actor);
  operation.mutable_spec()->mutable_nodes()->Assign(nodes.begin(), nodes.end());
  std::string name = operation.metadata().name();
  transaction.put(std::move(operation));
  return name;
}

Result<std::string> Operations::start(const std::string& type, Revision revision,
                                      const std::string& actor) {
  if (!types_.contains(type))
    return Error(Code::kInvalidArgument,
                 fmt::format("there are no operations of type \"{}\"", type));
  std::string name;
  RETURN_IF_ERROR(store_.write(actor, [&](Transaction& transaction) -> Status {
    name = enqueue(transaction, type, revision, actor);
    return {};
  }));
  wake();
  return name;
}

void Operations::wake() {
  {
    std::lock_guard lock(wake_mutex_);
    ++wakes_;
  }
  woken_.notify_all();
}

std::optional<std::string> Operations::find_next(const std::string& type) const {
  std::optional<std::string> best;
  for (const auto& operation : store_.snapshot()->list<pb::Operation>()) {
    if (operation->spec().type() != type || has_ended(*operation)) continue;
    const std::string& name = operation->metadata().name();
    if (!best || number_of(name, type) < number_of(*best, type)) best = name;
  }
  return best;
}

void Operations::work(const std::string& type, const std::stop_token& stop) {
  uint64_t seen = 0;
  while (!stop.stop_requested()) {
    {
      std::lock_guard lock(wake_mutex_);
      seen = wakes_;
    }
    const std::optional<std::string> name = may_run() ? find_next(type) : std::nullopt;
    if (!name) {
      std::unique_lock lock(wake_mutex_);
      woken_.wait(lock, stop, [&] { return wakes_ != seen; });
      continue;
    }
    const Status status = run(type, *name, stop);
    if (!status) {
      spdlog::warn("operation {}: will be tried again: {}", *name, status.error().message());
      (void)clock_.sleep_for(std::chrono::seconds(1), stop);
    }
    sweep_files();
  }
}

Status Operations::run(const std::string& type, const std::string& name,
                       const std::stop_token& stop) {
  ASSIGN_OR_RETURN(OperationJournal journal, OperationJournal::open(file_of(name)));
  Active run{name, {}, {}};
  const std::stop_callback on_stop(stop, [&] { run.interrupted.request_stop(); });
  const std::stop_callback on_interruption(run.interrupted.get_token(),
                                           [&] { run.cancelled.request_stop(); });
  active_.with([&](auto& active) { active.insert_or_assign(type, run); });
  stop_cancelled();
  // Lost just before it was entered.
  if (!may_run()) run.interrupted.request_stop();
  std::optional<FencedStore> fenced;
  if (options_.lease != nullptr) fenced.emplace(store_, *options_.lease);
  Store& store = fenced ? *fenced : store_;
  OperationRun taken_up(store, clock_, pokes_, std::move(journal), name, run.cancelled.get_token(),
                        run.interrupted.get_token());
  const Status status = taken_up.run(types_.at(type).steps, options_.keep);
  active_.with([&](auto& active) { active.erase(type); });
  return status;
}

Status Operations::cancel(const std::string& name, const std::string& actor) {
  RETURN_IF_ERROR(store_.write(actor, [&](Transaction& transaction) -> Status {
    const auto* found = transaction.snapshot().find<pb::Operation>(name);
    if (found == nullptr) return not_found(name);
    if (has_ended(*found))
      return Error(Code::kFailedPrecondition, fmt::format("operation \"{}\" has ended", name));
    pb::Operation operation = *found;
    operation.mutable_spec()->set_cancelled(true);
    if (operation.status().state() == pb::OPERATION_STATE_UNSPECIFIED)
      operation.mutable_status()->set_state(pb::OPERATION_STATE_CANCELLED);
    transaction.put(std::move(operation));
    return {};
  }));
  // After the write.
  stop_cancelled();
  pokes_.poke();
  return {};
}

Result<std::unique_ptr<OperationWatch>> Operations::watch(const std::string& name, int64_t after,
                                                          std::function<void()> poke) {
  if (store_.snapshot()->find<pb::Operation>(name) == nullptr) return not_found(name);
  return std::make_unique<WatchImpl>(store_, pokes_, name,
                                     OperationJournalReader(file_of(name), after), std::move(poke));
}

Result<pb::OperationStatus> Operations::wait(const std::string& name, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  bool is_poked = true;
  ASSIGN_OR_RETURN(const std::unique_ptr<OperationWatch> watch, this->watch(name, INT64_MAX, [&] {
    std::lock_guard lock(mutex);
    is_poked = true;
    changed.notify_all();
  }));
  while (true) {
    {
      std::unique_lock lock(mutex);
      if (!changed.wait(lock, stop, [&] { return is_poked; }))
        return Error(Code::kCancelled, fmt::format("no longer waiting for operation \"{}\"", name));
      is_poked = false;
    }
    ASSIGN_OR_RETURN(const OperationProgress progress, watch->next(1'000));
    if (progress.final) return *progress.final;
  }
}

}  // namespace frameworks
