#include "runtime/tenants/tenant_keeper.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <map>
#include <optional>
#include <set>
#include <thread>

#include "base/locked.h"
#include "base/log.h"
#include "control/operations.h"
#include "control/reconciler.h"
#include "control/store_follower.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/tenants/domain_check.h"
#include "runtime/tenants/entitlement.h"
#include "runtime/tenants/tenant_deletion.h"

namespace frameworks {
namespace {

constexpr const char* kActor = "system/tenants";
// The wall clock is looked at this often at least: it may be set while a timer runs.
constexpr Duration kTick = std::chrono::seconds(1);
// Grants that expire in one write at most.
constexpr size_t kAtOnce = 500;
constexpr int kDomainWorkers = 4;

// Grants that will expire, by time.
class Expiries {
 public:
  void note(const ResourceKey& key, const pb::Grant* grant) {
    if (const auto known = times_.find(key); known != times_.end()) {
      due_.erase({known->second, key});
      times_.erase(known);
    }
    if (grant == nullptr || grant->status().state() == pb::GRANT_STATE_EXPIRED) return;
    if (const auto expiry = expiry_of(*grant)) {
      times_.emplace(key, *expiry);
      due_.emplace(*expiry, key);
    }
  }

  [[nodiscard]] std::vector<ResourceKey> due(WallTime now) const {
    std::vector<ResourceKey> out;
    for (auto at = due_.begin(); at != due_.end() && at->first <= now && out.size() < kAtOnce; ++at)
      out.push_back(at->second);
    return out;
  }
  [[nodiscard]] std::optional<WallTime> next() const {
    if (due_.empty()) return {};
    return due_.begin()->first;
  }

 private:
  std::map<ResourceKey, WallTime> times_;
  std::set<std::pair<WallTime, ResourceKey>> due_;
};

// Says of each grant that it has expired, if at the time of the write it has.
Edit expire(std::vector<ResourceKey> keys) {
  return [keys = std::move(keys)](Transaction& transaction) -> Status {
    for (const ResourceKey& key : keys) {
      const Resource* found = transaction.snapshot().find(key);
      if (found == nullptr) continue;
      pb::Grant grant = found->as<pb::Grant>();
      const pb::GrantState state = grant_state(grant, transaction.time());
      // What was asked for or refused has a state of its own, and nothing left to expire.
      const auto expiry = expiry_of(grant);
      if (!expiry || *expiry > transaction.time()) continue;
      grant.mutable_status()->set_state(state);
      transaction.put(std::move(grant));
    }
    return {};
  };
}

class Keeper final : public TenantKeeper {
 public:
  Keeper(Store& store, Clock& clock, TxtResolver& resolver, Options options)
      : store_(store),
        clock_(clock),
        resolver_(resolver),
        options_(std::move(options)),
        deletions_(clock, {.name = "tenant deletion"},
                   [this](const std::string& tenant, const std::stop_token& stop) {
                     return go_on(tenant, stop);
                   }),
        domains_(clock, {.name = "domains of tenant", .workers = kDomainWorkers},
                 [this](const std::string& tenant, const std::stop_token& stop) {
                   return check_domains(tenant, stop);
                 }),
        follower_(
            store, "tenants", [this](const Snapshot& snapshot) { begin_with(snapshot); },
            [this](const Change& change) { take(change); }) {}

  ~Keeper() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    deletions_.stop();
    domains_.stop();
  }

  Status begin() {
    RETURN_IF_ERROR(follower_.start());
    deletions_.start();
    domains_.start();
    thread_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
    return {};
  }

 private:
  // Whatever an earlier keeper left, and whatever was missed.
  void begin_with(const Snapshot& snapshot) {
    expiries_ = Expiries();
    for (const Resource& grant : snapshot.find_by(kind_of<pb::Grant>(), "expiry", "ahead"))
      expiries_.note(grant.key(), &grant.as<pb::Grant>());
    deleting_.clear();
    for (const auto& tenant : snapshot.find_by<pb::Tenant>("deleting", "yes")) note(*tenant);
    for (const auto& tenant : snapshot.find_by<pb::Tenant>("domains", "any")) note(*tenant);
  }

  void note(const pb::Tenant& tenant) {
    const std::string& name = tenant.metadata().name();
    if (tenant.metadata().has_delete_time()) {
      deleting_.insert(name);
      deletions_.enqueue(name);
    } else if (tenant.spec().domains_size() > 0) {
      domains_.enqueue(name);
    }
  }

  void follow(const std::stop_token& stop) {
    Duration next{};
    do {
      follower_.catch_up();
      next = expire_due() ? until_next() : kTick;
    } while (follower_.wait(clock_, next, stop));
  }

  Duration until_next() const {
    const auto next = expiries_.next();
    if (!next) return kTick;
    return std::clamp<Duration>(*next - now(), std::chrono::milliseconds(1), kTick);
  }

  // As the store tells it: never back.
  WallTime now() const {
    return std::max<WallTime>(std::chrono::floor<std::chrono::microseconds>(clock_.wall()),
                              store_.snapshot()->time());
  }

  void take(const Change& change) {
    const std::string& kind = change.key.kind;
    if (kind == "Grant")
      expiries_.note(change.key, change.after ? &change.after.as<pb::Grant>() : nullptr);
    if (kind == "Tenant" && !change.after) deleting_.erase(change.key.name);
    if (kind == "Tenant" && change.after && change.actor.name != kActor)
      note(change.after.as<pb::Tenant>());
    // What a deletion may have waited for.
    if (kind == "Grant" || kind == "Cluster" || kind == "Service" || kind == "Account" ||
        kind == "Tenant")
      for (const std::string& tenant : deleting_) deletions_.enqueue(tenant);
  }

  // False when the write failed, or there are more.
  bool expire_due() {
    while (true) {
      auto keys = expiries_.due(now());
      if (keys.empty()) return true;
      for (const ResourceKey& key : keys) spdlog::info("tenants: {} expires", key.text());
      const auto done = store_.write(kActor, expire(keys));
      if (!done) {
        spdlog::warn("tenants: expired grants are not told as such yet: {}",
                     done.error().message());
        return false;
      }
      // Those that the write left alone have another time by now, or none.
      for (const ResourceKey& key : keys) expiries_.note(key, nullptr);
      follower_.catch_up();
    }
  }

  Result<std::optional<Duration>> go_on(const std::string& tenant, const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const SnapshotPtr snapshot = store_.snapshot();
      const auto* row = snapshot->find<pb::Tenant>(tenant);
      if (row == nullptr || !row->metadata().has_delete_time()) return std::optional<Duration>();
      std::vector<DeletionStep> steps = plan_deletion(*snapshot, tenant);
      bool moved = false;
      for (DeletionStep& step : steps) {
        if (step.stage != steps.front().stage) break;
        if (!step.blocked.empty()) continue;
        ASSIGN_OR_RETURN(const bool gone, remove(tenant, step));
        moved |= gone;
      }
      if (moved) continue;
      RETURN_IF_ERROR(tell(tenant, waiting_text(steps)));
      return std::optional<Duration>(options_.look_again);
    }
    return std::optional<Duration>();
  }

  // What the step lists; false when the model's rules are against it, which becomes why it waits.
  Result<bool> remove(const std::string& tenant, DeletionStep& step) {
    bool machines = false;
    const auto done = store_.write(
        kActor, [&, stage = step.stage, about = step.about](Transaction& transaction) -> Status {
          ASSIGN_OR_RETURN(machines, take_step(transaction, tenant, stage, about));
          if (machines) Operations::enqueue(transaction, "apply", 0, kActor);
          return {};
        });
    if (!done && done.error().code() == Code::kInvalidArgument) {
      step.blocked = done.error().message();
      return false;
    }
    if (!done) return done.error();
    if (machines) options_.wake_operations();
    if (done->changes.empty()) return false;
    spdlog::info("tenants: deletion of {}: {} gone", tenant, step.summary);
    return true;
  }

  Status tell(const std::string& tenant, const std::vector<std::string>& waiting) {
    const auto done = store_.write(kActor, [&](Transaction& transaction) -> Status {
      note_waiting(transaction, tenant, waiting);
      return {};
    });
    return done ? Status() : done.error();
  }

  // Checks what is due, and says when to come again.
  Result<std::optional<Duration>> check_domains(const std::string& tenant,
                                                const std::stop_token& stop) {
    std::optional<Duration> again;
    const SnapshotPtr snapshot = store_.snapshot();
    const auto* row = snapshot->find<pb::Tenant>(tenant);
    if (row == nullptr || row->metadata().has_delete_time()) {
      failures_.with([&](auto& all) { all.erase(tenant); });
      return again;
    }
    for (const pb::DomainStatus& listed : row->status().domains()) {
      if (stop.stop_requested()) break;
      Duration left = time_left(tenant, listed);
      if (left <= Duration::zero()) {
        const auto status =
            check_domain(store_, resolver_, kActor, tenant, listed.domain(), DryRun::kNo);
        if (!status && status.error().code() != Code::kNotFound &&
            status.error().code() != Code::kFailedPrecondition)
          return status.error();
        if (!status) continue;
        count(tenant, *status);
        left = std::max(Duration::zero(), time_left(tenant, *status));
      }
      again = again ? std::min(*again, left) : left;
    }
    return again;
  }

  // Until the domain is to be checked; what was never checked is at once.
  Duration time_left(const std::string& tenant, const pb::DomainStatus& status) {
    if (!status.has_check_time()) return Duration::zero();
    const auto checked = WallTime(std::chrono::microseconds(
        google::protobuf::util::TimeUtil::TimestampToMicroseconds(status.check_time())));
    return next_check_after(status, failures(tenant, status.domain())) - (now() - checked);
  }

  using Failures = std::map<std::string, std::map<std::string, int>>;
  int failures(const std::string& tenant, const std::string& domain) const {
    return failures_.with([&](const Failures& all) {
      const auto mine = all.find(tenant);
      if (mine == all.end()) return 0;
      const auto found = mine->second.find(domain);
      return found == mine->second.end() ? 0 : found->second;
    });
  }
  void count(const std::string& tenant, const pb::DomainStatus& status) {
    failures_.with([&](Failures& all) {
      if (status.state() == pb::DOMAIN_STATE_VERIFIED && status.message().empty())
        all[tenant].erase(status.domain());
      else
        ++all[tenant][status.domain()];
    });
  }

  Store& store_;
  Clock& clock_;
  TxtResolver& resolver_;
  const Options options_;
  Locked<Failures> failures_;  // since the keeper's start
  Reconciler deletions_;
  Reconciler domains_;

  // The thread's own.
  Expiries expiries_;
  std::set<std::string> deleting_;
  StoreFollower follower_;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<TenantKeeper>> TenantKeeper::start(Store& store, Clock& clock,
                                                          TxtResolver& resolver, Options options) {
  auto keeper = std::make_unique<Keeper>(store, clock, resolver, std::move(options));
  RETURN_IF_ERROR(keeper->begin());
  return std::unique_ptr<TenantKeeper>(std::move(keeper));
}

}  // namespace frameworks
