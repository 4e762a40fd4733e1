#include "runtime/access/token_desk.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/text.h"
#include "runtime/access/rate_limit.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

constexpr const char* kActor = "system/access";
constexpr size_t kShards = 64;
// Of one shard; beyond, what was remembered is forgotten and verified anew.
constexpr size_t kMaxEntries = 16'384;
constexpr size_t kMaxTenants = 65'536;

int64_t minute_of(WallTime time) {
  return std::chrono::floor<std::chrono::minutes>(time).time_since_epoch().count();
}

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

struct Use {
  WallTime time;
  std::string address;
};
using Uses = std::map<std::string, Use>;

int64_t noted_minute(const Snapshot& snapshot, const std::string& name) {
  const auto* token = snapshot.find<pb::AccessToken>(name);
  if (token == nullptr) return 0;
  return token->status().last_use_time().seconds() / 60;
}

Edit record(std::shared_ptr<const Uses> uses) {
  return [uses = std::move(uses)](Transaction& transaction) -> Status {
    for (const auto& [name, use] : *uses) {
      const auto* found = transaction.snapshot().find<pb::AccessToken>(name);
      if (found == nullptr || noted_minute(transaction.snapshot(), name) >= minute_of(use.time))
        continue;
      pb::AccessToken token = *found;
      auto& status = *token.mutable_status();
      *status.mutable_last_use_time() = TimeUtil::SecondsToTimestamp(minute_of(use.time) * 60);
      status.set_last_use_address(use.address);
      transaction.put(std::move(token));
    }
    return {};
  };
}

}  // namespace

class TokenDesk::State {
 public:
  State(Store& store, Clock& clock, Options options)
      : store_(store), clock_(clock), options_(options) {
    recorder_ = std::jthread([this](const std::stop_token& stop) { record_loop(stop); });
  }

  enum class As { kRequest, kKey };  // the token's own request, or shown to a service
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;

  Result<EntryPtr> admit(std::string_view token, std::string_view address, As as);
  Result<bool> admit_again(Entry& entry, std::string_view address);

  uint64_t admitted() {
    uint64_t sum = 0;
    for (Shard& shard : shards_) sum += shard.admitted.load(std::memory_order_relaxed);
    return sum;
  }

  std::array<std::atomic<uint64_t>, kTokenRefusals> refused{};
  std::atomic<uint64_t> limited{0};

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, EntryPtr, TextHash, std::equal_to<>> entries;
    alignas(64) std::atomic<uint64_t> admitted{0};
  };

  [[nodiscard]] bool is_current(const Entry& entry) const;

  // A good token's use: within its rate, and noted.
  Status use(Entry& entry, std::string_view address, As as, WallTime now);

  Error refuse(TokenRefusal refusal, As as) {
    if (as == As::kRequest)
      refused[static_cast<size_t>(refusal)].fetch_add(1, std::memory_order_relaxed);
    return refusal_error(refusal);
  }

  EntryPtr remember(Shard& shard, const Snapshot& snapshot, const std::string& digest,
                    Principal principal);

  std::shared_ptr<RateLimit> tenant_limit(const std::string& tenant) {
    std::lock_guard lock(tenants_mutex_);
    if (tenants_.size() >= kMaxTenants)
      std::erase_if(tenants_, [](const auto& each) { return each.second.use_count() == 1; });
    auto& limit = tenants_[tenant];
    if (limit == nullptr) limit = std::make_shared<RateLimit>();
    return limit;
  }

  Status check_rate(const Entry& entry);

  void note(const std::string& token, Use use) {
    {
      std::lock_guard lock(uses_mutex_);
      uses_.insert_or_assign(token, std::move(use));
    }
    used_.notify_one();
  }

  void record_loop(const std::stop_token& stop) {
    while (true) {
      {
        std::unique_lock lock(uses_mutex_);
        used_.wait(lock, stop, [this] { return !uses_.empty(); });
        if (uses_.empty()) return;  // asked to stop
      }
      clock_.sleep_for(options_.gather, stop);
      auto uses = std::make_shared<Uses>();
      {
        std::lock_guard lock(uses_mutex_);
        uses->swap(uses_);
      }
      const auto written = store_.write(kActor, record(std::move(uses)));
      if (!written)
        spdlog::warn("access: last uses are not recorded: {}", written.error().message());
      if (stop.stop_requested()) return;
    }
  }

  Store& store_;
  Clock& clock_;
  const Options options_;
  std::array<Shard, kShards> shards_;

  std::mutex tenants_mutex_;
  std::map<std::string, std::shared_ptr<RateLimit>> tenants_;

  std::mutex uses_mutex_;
  std::condition_variable_any used_;
  Uses uses_;
  std::jthread recorder_;
};

struct TokenDesk::State::Entry final : AdmittedToken {
  const Principal& principal() const override { return known; }
  Result<bool> admit_again(std::string_view address) override {
    return state->admit_again(*this, address);
  }

  State* state = nullptr;
  Shard* shard = nullptr;
  std::string digest;      // SHA-256 of the secret
  Revision revision = -1;  // that the rest holds for
  Principal known;
  std::shared_ptr<RateLimit> limit;
  std::shared_ptr<RateLimit> tenant_limit;
  std::shared_ptr<std::atomic<int64_t>> minute;  // of the use noted last
};

bool TokenDesk::State::is_current(const Entry& entry) const {
  return entry.revision == store_.revision();
}

Result<TokenDesk::State::EntryPtr> TokenDesk::State::admit(std::string_view token,
                                                           std::string_view address, As as) {
  const auto parts = parse_token(token);
  if (!parts) return refuse(TokenRefusal::kUnknown, as);
  const std::string digest = sha256(parts->secret);
  Shard& shard = shards_[TextHash{}(parts->name) % kShards];
  const WallTime now = clock_.wall();
  EntryPtr entry;
  {
    std::lock_guard lock(shard.mutex);
    if (const auto at = shard.entries.find(parts->name); at != shard.entries.end())
      entry = at->second;
  }
  const bool known = entry != nullptr && is_current(*entry) && equal_secrets(entry->digest, digest);
  if (!known) {
    const SnapshotPtr snapshot = store_.snapshot();
    TokenVerdict verdict = verify_token(*snapshot, token, now);
    if (verdict.refusal) return refuse(*verdict.refusal, as);
    entry = remember(shard, *snapshot, digest, std::move(verdict.principal));
  }
  RETURN_IF_ERROR(use(*entry, address, as, now));
  return entry;
}

Result<bool> TokenDesk::State::admit_again(Entry& entry, std::string_view address) {
  if (!is_current(entry)) return false;
  RETURN_IF_ERROR(use(entry, address, As::kRequest, clock_.wall()));
  return true;
}

Status TokenDesk::State::use(Entry& entry, std::string_view address, As as, WallTime now) {
  if (entry.known.expires && *entry.known.expires <= now) return refuse(TokenRefusal::kExpired, as);
  if (as == As::kRequest) {
    RETURN_IF_ERROR(check_rate(entry));
    entry.shard->admitted.fetch_add(1, std::memory_order_relaxed);
  }
  if (entry.minute->load(std::memory_order_relaxed) != minute_of(now) &&
      entry.minute->exchange(minute_of(now)) != minute_of(now))
    note(entry.known.token, {now, std::string(address)});
  return {};
}

// The limit's state and the noted minute outlive a verification.
TokenDesk::State::EntryPtr TokenDesk::State::remember(Shard& shard, const Snapshot& snapshot,
                                                      const std::string& digest,
                                                      Principal principal) {
  auto entry = std::make_shared<Entry>();
  entry->state = this;
  entry->shard = &shard;
  entry->digest = digest;
  entry->revision = snapshot.revision();
  entry->tenant_limit = principal.tenant_rate == 0 ? nullptr : tenant_limit(principal.tenant);
  std::lock_guard lock(shard.mutex);
  if (shard.entries.size() >= kMaxEntries && !shard.entries.contains(principal.token))
    shard.entries.clear();
  EntryPtr& place = shard.entries[principal.token];
  if (place == nullptr) {
    entry->limit = std::make_shared<RateLimit>();
    entry->minute = std::make_shared<std::atomic<int64_t>>(noted_minute(snapshot, principal.token));
  } else {
    entry->limit = place->limit;
    entry->minute = place->minute;
  }
  entry->known = std::move(principal);
  return place = std::move(entry);
}

Status TokenDesk::State::check_rate(const Entry& entry) {
  const Principal& principal = entry.known;
  if (principal.rate == 0 && entry.tenant_limit == nullptr) return {};
  const MonoTime now = clock_.mono();
  const bool own = entry.limit->allow(now, principal.rate);
  const bool tenants = !own || entry.tenant_limit == nullptr ||
                       entry.tenant_limit->allow(now, principal.tenant_rate);
  if (own && tenants) return {};
  limited.fetch_add(1, std::memory_order_relaxed);
  return own ? Error(Code::kResourceExhausted,
                     fmt::format("too many requests: tenant \"{}\" may send {} a second: try "
                                 "again in a second",
                                 principal.tenant, principal.tenant_rate))
             : Error(Code::kResourceExhausted,
                     fmt::format("too many requests: token {} may send {} a second: try again "
                                 "in a second",
                                 principal.token, principal.rate));
}

TokenDesk::TokenDesk(Store& store, Clock& clock, Options options)
    : state_(std::make_unique<State>(store, clock, options)) {}
TokenDesk::~TokenDesk() = default;

Result<std::shared_ptr<AdmittedToken>> TokenDesk::admit(std::string_view token,
                                                        std::string_view address) {
  ASSIGN_OR_RETURN(auto admitted, state_->admit(token, address, State::As::kRequest));
  return std::shared_ptr<AdmittedToken>(std::move(admitted));
}

std::shared_ptr<const Principal> TokenDesk::whose(std::string_view token,
                                                  std::string_view address) {
  const auto entry = state_->admit(token, address, State::As::kKey).value_or(nullptr);
  return entry == nullptr ? nullptr : std::shared_ptr<const Principal>(entry, &entry->principal());
}

uint64_t TokenDesk::admitted() const { return state_->admitted(); }
uint64_t TokenDesk::refused(TokenRefusal refusal) const {
  return state_->refused[static_cast<size_t>(refusal)].load();
}
uint64_t TokenDesk::limited() const { return state_->limited.load(); }

}  // namespace frameworks
