#include "runtime/tenants/context_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/keyed_hash.h"
#include "base/locked.h"
#include "base/log.h"
#include "base/read_section.h"
#include "model/json.h"
#include "runtime/tenants/context_cache.h"
#include "runtime/tenants/context_slab.h"
#include "runtime/tenants/context_touch.h"
#include "runtime/tenants/context_watchers.h"
#include "runtime/tenants/tenant_context.h"

namespace frameworks {
namespace {

constexpr size_t kBatch = 10'000;
// Larger ones are prepared each time: what is kept stays bounded in bytes too.
constexpr size_t kMaxKept = 64 << 10;
constexpr int kTries = 100'000;

// The endpoints of a cluster, which the contexts of all its tenants share.
struct ClusterPart {
  Piece proto;
  Piece json;  // of the endpoints alone, without the brackets
  std::vector<ContextMark> marks;
  Revision revision = 0;
};
using ClusterPartPtr = std::shared_ptr<const ClusterPart>;

struct Entry {
  // Read at every look-up, and therefore first: one line of memory with the count of references.
  mutable std::atomic<uint64_t> good_at{0};  // no mark was touched up to this count of touches
  WallTime until = WallTime::max();
  std::string tenant;
  ReadyAnswer answer;
  std::vector<ContextMark> marks;
  std::vector<uint64_t> names;  // hashes of the other names that it is known by
  std::weak_ptr<const Entry> self;

  [[nodiscard]] bool has_name(uint64_t hash) const {
    return std::find(names.begin(), names.end(), hash) != names.end();
  }
};
using EntryPtr = std::shared_ptr<const Entry>;

// Entries lie in a slab of this process.
template <typename T>
struct SlabAllocator {
  using value_type = T;
  SlabAllocator() = default;
  template <typename Other>
  SlabAllocator(const SlabAllocator<Other>&) {}
  T* allocate(size_t) { return static_cast<T*>(slab().take()); }
  void deallocate(T* place, size_t) { slab().give_back(place); }
  bool operator==(const SlabAllocator&) const { return true; }

  static ContextSlab& slab() {
    static auto& slab = *new ContextSlab(sizeof(T));  // outlives every entry
    return slab;
  }
};

// Of one kind of name; the kinds share the table.
uint64_t name_hash(char kind, std::string_view name) {
  std::string text(1, kind);
  text += name;
  return keyed_hash(text);
}

Ready ready_of(EntryPtr entry) {
  if (entry == nullptr) return nullptr;
  const ReadyAnswer* answer = &entry->answer;
  return {std::move(entry), answer};
}

// The number of names that are given, of all kinds but API keys.
int names_given(const pb::TenantKey& key) {
  return !key.tenant().empty() + !key.uid().empty() + !key.subdomain().empty() +
         !key.domain().empty();
}

// Of the only name given, which is not the tenant's own.
uint64_t other_name_hash(const pb::TenantKey& key) {
  if (!key.uid().empty()) return name_hash('u', key.uid());
  return !key.subdomain().empty() ? name_hash('s', key.subdomain()) : name_hash('d', key.domain());
}

// {"a":1} and the endpoints of some clusters → {"a":1,"endpoints":[…]}
void join_json(std::string own, const std::vector<ClusterPartPtr>& parts, ReadyAnswer& answer) {
  std::vector<Piece> lists;
  for (const ClusterPartPtr& part : parts)
    if (!part->json->empty()) lists.push_back(part->json);
  if (lists.empty()) {
    answer.json = {piece_of(std::move(own))};
    return;
  }
  static const Piece kComma = piece_of(",");
  static const Piece kEnd = piece_of("]}");
  own.pop_back();
  own += own.size() > 1 ? ",\"endpoints\":[" : "\"endpoints\":[";
  answer.json.push_back(piece_of(std::move(own)));
  for (size_t i = 0; i < lists.size(); ++i) {
    if (i > 0) answer.json.push_back(kComma);
    answer.json.push_back(std::move(lists[i]));
  }
  answer.json.push_back(kEnd);
}

class Directory final : public ContextDirectory {
 public:
  Directory(Store& store, Options options)
      : store_(store), cache_(options.entries), marks_(new std::atomic<Revision>[kContextMarks]) {
    for (uint32_t i = 0; i < kContextMarks; ++i) marks_[i].store(0, std::memory_order_relaxed);
  }
  ~Directory() override {
    follower_.request_stop();
    if (follower_.joinable()) follower_.join();
    subscription_.reset();
  }

  Status begin() {
    {
      std::lock_guard lock(follow_mutex_);
      RETURN_IF_ERROR(start_over());
    }
    follower_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
    return {};
  }

  Ready find(std::string_view tenant) override { return ready_of(entry_of(tenant)); }

  Result<Ready> find(const pb::TenantKey& key, std::string* tenant) override {
    ASSIGN_OR_RETURN(EntryPtr entry, entry_of(key));
    if (entry != nullptr && tenant != nullptr) *tenant = entry->tenant;
    return ready_of(std::move(entry));
  }

  const ReadyAnswer* find_prepared(const ReadSection& section, std::string_view tenant) override {
    const Entry* const found = is_behind() ? nullptr : kept(section, tenant, keyed_hash(tenant));
    return found == nullptr ? nullptr : &found->answer;
  }

  const ReadyAnswer* find_prepared(const ReadSection& section, const pb::TenantKey& key,
                                   std::string_view* tenant) override {
    if (is_behind() || names_given(key) != 1 || !key.api_key().empty()) return nullptr;
    const Entry* const found = !key.tenant().empty()
                                   ? kept(section, key.tenant(), keyed_hash(key.tenant()))
                                   : kept(section, other_name_hash(key));
    if (found == nullptr) return nullptr;
    if (tenant != nullptr) *tenant = found->tenant;
    return &found->answer;
  }

  uint64_t changes() override {
    keep_up();
    return touches_.load(std::memory_order_acquire);
  }

  Result<std::unique_ptr<ContextWatch>> watch(std::string_view tenant,
                                              std::function<void()> poke) override;

  EntryPtr entry_of(std::string_view tenant) {
    keep_up();
    const uint64_t hash = keyed_hash(tenant);
    {
      const ReadSection section;
      if (const Entry* const found = kept(section, tenant, hash)) return found->self.lock();
    }
    EntryPtr found = prepare(tenant);
    if (found != nullptr && found->answer.proto.front()->size() <= kMaxKept)
      cache_.put(hash, found);
    return found;
  }

  // Nothing touched it since it was prepared.
  bool is_good(const Entry& entry) const {
    if (entry.until <= WallTime(Duration(time_.load(std::memory_order_acquire)))) return false;
    const uint64_t touches = touches_.load(std::memory_order_acquire);
    if (entry.good_at.load(std::memory_order_relaxed) == touches) return true;
    if (touched(entry.marks) > entry.answer.revision) return false;
    entry.good_at.store(touches, std::memory_order_relaxed);
    return true;
  }

  ContextWatchers& watchers() { return watchers_; }

 private:
  // What following the store came upon.
  struct Touched {
    std::vector<ContextMark> marks;
    bool everything = false;
  };

  bool is_behind() const { return store_.publications() != seen_.load(std::memory_order_acquire); }
  void keep_up() {
    if (is_behind()) catch_up();
  }
  void catch_up();
  Status take_changes(Touched& touched);
  Status start_over();
  void follow(const std::stop_token& stop);
  void publish(SnapshotPtr snapshot, bool touched);

  // The last write that may have touched one of the marks.
  Revision touched(const std::vector<ContextMark>& marks) const {
    Revision out = floor_.load(std::memory_order_acquire);
    for (const ContextMark mark : marks)
      out = std::max(out, marks_[mark].load(std::memory_order_acquire));
    return out;
  }

  // What is in the table and good: of a tenant's own name, and of another one.
  const Entry* kept(const ReadSection& section, std::string_view tenant, uint64_t hash) const {
    const Entry* const found = cache_.find(section, hash);
    return found != nullptr && found->tenant == tenant && is_good(*found) ? found : nullptr;
  }
  const Entry* kept(const ReadSection& section, uint64_t hash) const {
    const Entry* const found = cache_.find(section, hash);
    return found != nullptr && found->has_name(hash) && is_good(*found) ? found : nullptr;
  }

  Result<EntryPtr> entry_of(const pb::TenantKey& key);
  EntryPtr prepare(std::string_view tenant);
  EntryPtr prepare_at(const SnapshotPtr& snapshot, std::string_view tenant);
  ClusterPartPtr part_of(const SnapshotPtr& snapshot, const std::string& cluster);

  Store& store_;
  ContextCache<Entry> cache_;
  // The last write that touched a mark; 0: none since the floor.
  const std::unique_ptr<std::atomic<Revision>[]> marks_;
  // Every look-up reads these: a line of memory that only a publication changes.
  alignas(64) std::atomic<uint64_t> touches_ = 1;  // counts up when a mark is touched
  std::atomic<int64_t> time_ = 0;                  // of the snapshot, since the epoch
  std::atomic<uint64_t> seen_ = 0;                 // publications of the store
  std::atomic<Revision> floor_ = 0;                // contexts are not known to be older than this
  // The marks hold every write up to its revision. To load it is to write to it.
  alignas(64) std::atomic<SnapshotPtr> snapshot_;
  Locked<std::map<std::string, ClusterPartPtr, std::less<>>> parts_;
  ContextWatchers watchers_;

  std::mutex follow_mutex_;  // who follows the store now
  std::unique_ptr<Subscription> subscription_;
  Revision followed_ = 0;

  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool woken_ = false;
  std::jthread follower_;
};

// Begins, or begins again, from the newest snapshot: nothing is known of what was before.
Status Directory::start_over() {
  subscription_.reset();
  const SnapshotPtr now = store_.snapshot();
  ASSIGN_OR_RETURN(subscription_, store_.subscribe(now->revision(), [this] {
    {
      std::lock_guard lock(wake_mutex_);
      woken_ = true;
    }
    wake_.notify_one();
  }));
  followed_ = now->revision();
  floor_.store(followed_, std::memory_order_release);
  publish(now, true);
  return {};
}

// In this order: who sees the snapshot sees its marks, and who sees the count sees both.
void Directory::publish(SnapshotPtr snapshot, bool touched) {
  time_.store(std::chrono::duration_cast<Duration>(snapshot->time().time_since_epoch()).count(),
              std::memory_order_release);
  snapshot_.store(std::move(snapshot));
  if (touched) touches_.fetch_add(1, std::memory_order_acq_rel);
}

// Marks what was written since, until the newest snapshot is just that.
Status Directory::take_changes(Touched& touched) {
  for (int i = 0; i < kTries; ++i) {
    const SnapshotPtr now = store_.snapshot();
    while (true) {
      ASSIGN_OR_RETURN(const auto changes, subscription_->next(kBatch));
      if (changes.empty()) break;
      for (const Change& change : changes) {
        const ContextTouch touch = touched_contexts(*now, change);
        touched.everything |= touch.everything;
        if (touch.everything) floor_.store(change.revision, std::memory_order_release);
        for (const ContextMark mark : touch.marks)
          marks_[mark].store(change.revision, std::memory_order_release);
        touched.marks.insert(touched.marks.end(), touch.marks.begin(), touch.marks.end());
      }
      followed_ = changes.back().revision;
    }
    if (followed_ != now->revision()) {
      std::this_thread::yield();  // the store is about to publish
      continue;
    }
    publish(now, touched.everything || !touched.marks.empty());
    return {};
  }
  return Error(Code::kOutOfRange, "the changes do not lead to the newest snapshot");
}

void Directory::catch_up() {
  Touched touched;
  {
    std::lock_guard lock(follow_mutex_);
    const uint64_t seen = store_.publications();
    if (const Status taken = take_changes(touched); !taken) {
      spdlog::warn("tenants: contexts are prepared anew: {}", taken.error().message());
      touched.everything = true;
      if (const Status begun = start_over(); !begun)
        spdlog::error("tenants: {}", begun.error().message());
    }
    seen_.store(seen, std::memory_order_release);
  }
  if (touched.everything)
    watchers_.touch_all();
  else if (!touched.marks.empty())
    watchers_.touch(touched.marks);
}

// Look-ups keep up by themselves; this tells watchers, and lets go of old snapshots.
void Directory::follow(const std::stop_token& stop) {
  while (true) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait(lock, stop, [this] { return woken_; });
      if (stop.stop_requested()) return;
      woken_ = false;
    }
    // Also when a look-up was first: asking is what makes the store poke again.
    catch_up();
  }
}

ClusterPartPtr Directory::part_of(const SnapshotPtr& snapshot, const std::string& cluster) {
  auto found = parts_.with([&](const auto& parts) {
    const auto at = parts.find(cluster);
    return at == parts.end() ? nullptr : at->second;
  });
  if (found != nullptr && touched(found->marks) <= found->revision &&
      found->revision <= snapshot->revision())
    return found;
  const ClusterEndpoints endpoints = cluster_endpoints(*snapshot, cluster);
  auto part = std::make_shared<ClusterPart>();
  part->marks.push_back(cluster_mark(cluster));
  for (const std::string& service : endpoints.services)
    part->marks.push_back(service_mark(service));
  part->proto = piece_of(endpoints.context.SerializeAsString());
  std::string json = json_text(to_json(endpoints.context));
  // {"endpoints":[…]} → …
  constexpr std::string_view kBegin = "{\"endpoints\":[";
  if (json.starts_with(kBegin)) json = json.substr(kBegin.size(), json.size() - kBegin.size() - 2);
  if (endpoints.context.endpoints().empty()) json.clear();
  part->json = piece_of(std::move(json));
  part->revision = snapshot->revision();
  parts_.with([&](auto& parts) {
    auto& kept = parts[cluster];
    if (kept == nullptr || kept->revision <= part->revision) kept = part;
  });
  return part;
}

EntryPtr Directory::prepare_at(const SnapshotPtr& snapshot, std::string_view tenant) {
  auto own = own_context(*snapshot, tenant);
  if (!own) return nullptr;
  auto entry = std::allocate_shared<Entry>(SlabAllocator<Entry>());
  entry->self = entry;
  pb::TenantContext& context = own->context;
  entry->tenant = tenant;
  entry->until = own->until.value_or(WallTime::max());
  entry->marks.push_back(tenant_mark(tenant));
  for (const std::string& cluster : own->grants_to) entry->marks.push_back(cluster_mark(cluster));
  std::vector<ClusterPartPtr> parts;
  for (const std::string& cluster : own->endpoints_of) {
    parts.push_back(part_of(snapshot, cluster));
    const auto& marks = parts.back()->marks;
    entry->marks.insert(entry->marks.end(), marks.begin(), marks.end());
  }
  std::sort(entry->marks.begin(), entry->marks.end());
  entry->marks.erase(std::unique(entry->marks.begin(), entry->marks.end()), entry->marks.end());
  entry->marks.shrink_to_fit();
  const Revision revision = own->ran_out ? snapshot->revision() : touched(entry->marks);
  context.set_revision(revision);
  entry->answer.revision = revision;
  if (!context.uid().empty()) entry->names.push_back(name_hash('u', context.uid()));
  if (!context.subdomain().empty()) entry->names.push_back(name_hash('s', context.subdomain()));
  for (const std::string& domain : context.domains())
    entry->names.push_back(name_hash('d', domain));
  entry->answer.proto.push_back(piece_of(context.SerializeAsString()));
  for (const ClusterPartPtr& part : parts)
    if (!part->proto->empty()) entry->answer.proto.push_back(part->proto);
  join_json(json_text(to_json(context)), parts, entry->answer);
  return entry;
}

// What is marked already, and not yet in the snapshot, will be in a moment: then it begins again.
EntryPtr Directory::prepare(std::string_view tenant) {
  while (true) {
    const uint64_t touches = touches_.load(std::memory_order_acquire);
    const SnapshotPtr snapshot = snapshot_.load();
    EntryPtr entry = prepare_at(snapshot, tenant);
    if (entry == nullptr) return nullptr;
    entry->good_at.store(touches, std::memory_order_relaxed);
    if (entry->answer.revision <= snapshot->revision()) return entry;
    std::this_thread::yield();
  }
}

Result<EntryPtr> Directory::entry_of(const pb::TenantKey& key) {
  if (names_given(key) == 1 && key.api_key().empty()) {
    if (!key.tenant().empty()) return entry_of(key.tenant());
    keep_up();
    const uint64_t hash = other_name_hash(key);
    {
      const ReadSection section;
      if (const Entry* const found = kept(section, hash)) return found->self.lock();
    }
    ASSIGN_OR_RETURN(const pb::Tenant* tenant, find_tenant(*snapshot_.load(), key));
    if (tenant == nullptr) return EntryPtr();
    EntryPtr found = entry_of(tenant->metadata().name());
    if (found == nullptr || !found->has_name(hash)) return EntryPtr();
    cache_.put(hash, found);
    return found;
  }
  ASSIGN_OR_RETURN([[maybe_unused]] const pb::Tenant* nobody, find_tenant(*snapshot_.load(), key));
  return EntryPtr();
}

class Watch final : public ContextWatch {
 public:
  Watch(Directory& directory, std::string tenant, std::function<void()> poke)
      : directory_(directory),
        tenant_(std::move(tenant)),
        watcher_(std::make_shared<ContextWatchers::Watcher>(std::move(poke))) {}
  ~Watch() override { directory_.watchers().remove(watcher_); }

  Result<Ready> next() override {
    watcher_->look();
    while (true) {
      EntryPtr entry = directory_.entry_of(tenant_);
      if (entry == nullptr)
        return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", tenant_));
      // A touch before this is seen by looking again, one after it by the poke.
      directory_.watchers().wait_for(watcher_, entry->marks);
      if (directory_.entry_of(tenant_) != entry && !directory_.is_good(*entry)) continue;
      if (entry->answer.revision == told_) return nullptr;
      told_ = entry->answer.revision;
      return ready_of(std::move(entry));
    }
  }

 private:
  Directory& directory_;
  const std::string tenant_;
  const ContextWatchers::WatcherPtr watcher_;
  Revision told_ = -1;
};

Result<std::unique_ptr<ContextWatch>> Directory::watch(std::string_view tenant,
                                                       std::function<void()> poke) {
  if (entry_of(tenant) == nullptr)
    return Error(Code::kNotFound, fmt::format("tenant \"{}\" does not exist", tenant));
  return std::make_unique<Watch>(*this, std::string(tenant), std::move(poke));
}

}  // namespace

Result<std::unique_ptr<ContextDirectory>> ContextDirectory::start(Store& store, Options options) {
  auto directory = std::make_unique<Directory>(store, options);
  RETURN_IF_ERROR(directory->begin());
  return std::unique_ptr<ContextDirectory>(std::move(directory));
}

Ready not_modified(int64_t revision) {
  pb::TenantContext context;
  context.set_revision(revision);
  context.set_not_modified(true);
  ReadyAnswer answer;
  answer.proto = {piece_of(context.SerializeAsString())};
  answer.json = {piece_of(json_text(to_json(context)))};
  answer.revision = revision;
  answer.not_modified = true;
  return std::make_shared<const ReadyAnswer>(std::move(answer));
}

}  // namespace frameworks
