#include "control/lease.h"

#include <fmt/format.h>

#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "base/locked.h"
#include "base/log.h"
#include "base/text.h"
#include "frameworks/v1/lease.pb.h"

namespace frameworks {
namespace {

constexpr const char* kLeaseName = "servers";
constexpr const char* kActor = "system/lease";

pb::LeaseSpec lease_of(const Snapshot& snapshot) {
  const auto* found = snapshot.find<pb::Lease>(kLeaseName);
  return found == nullptr ? pb::LeaseSpec() : found->spec();
}

class SoleLease final : public Lease {
 public:
  explicit SoleLease(std::string server) : server_(std::move(server)) {}

  const std::string& server() const override { return server_; }
  bool held() const override { return true; }
  Edit fenced(Edit edit) const override { return edit; }
  bool is_alive(const std::string& server) const override { return server == server_; }
  void on_change(std::function<void(bool)> change) override {
    changes_.push_back(std::move(change));
  }
  void set_report(std::function<std::string()>) override {}
  std::string report_of(const std::string&) const override { return {}; }
  Status start() override {
    for (const auto& change : changes_) change(true);
    return {};
  }
  void stop() override {}

 private:
  const std::string server_;
  std::vector<std::function<void(bool)>> changes_;
};

class SharedLease final : public Lease {
 public:
  SharedLease(Store& store, SharedLog& log, Clock& clock, std::string server, LeaseTimes times,
              std::function<void()> replaced)
      : store_(store),
        log_(log),
        clock_(clock),
        server_(std::move(server)),
        incarnation_(new_uuid()),
        times_(times),
        replaced_(std::move(replaced)) {}

  ~SharedLease() override { stop(); }
  void stop() override;

  const std::string& server() const override { return server_; }
  // Also false at once when this process was stopped for a while.
  bool held() const override {
    return epoch_ != 0 && clock_.mono() - told_.load() < times_.give_up_after;
  }
  Edit fenced(Edit edit) const override {
    return [edit = std::move(edit), server = server_,
            epoch = held() ? epoch_.load() : 0](Transaction& transaction) -> Status {
      const pb::LeaseSpec lease = lease_of(transaction.snapshot());
      if (epoch == 0 || lease.holder() != server || lease.epoch() != epoch)
        return Error(Code::kFailedPrecondition,
                     fmt::format("server \"{}\" does not hold the lease: \"{}\" does", server,
                                 lease.holder()));
      return edit(transaction);
    };
  }
  bool is_alive(const std::string& server) const override {
    return server == server_ || others_.with([&](const auto& others) {
      const auto at = others.find(server);
      return at != others.end() && is_fresh(at->second);
    });
  }
  void on_change(std::function<void(bool)> change) override {
    changes_.push_back(std::move(change));
  }
  void set_report(std::function<std::string()> report) override { report_ = std::move(report); }
  std::string report_of(const std::string& server) const override {
    return others_.with([&](const auto& others) {
      const auto at = others.find(server);
      return at == others.end() || !is_fresh(at->second) ? std::string() : at->second.last.report;
    });
  }
  Status start() override;

 private:
  struct Other {
    ServerBeat last;
    MonoTime heard;  // when `last` was new
  };

  [[nodiscard]] bool is_fresh(const Other& other) const {
    return clock_.mono() - other.heard < times_.dead_after;
  }
  // Sets holder and epoch.
  static Edit put(std::string name, std::string holder, int64_t epoch) {
    return [=](Transaction& transaction) -> Status {
      pb::Lease lease;
      const auto* found = transaction.snapshot().find<pb::Lease>(name);
      if (found != nullptr) lease = *found;
      lease.mutable_metadata()->set_name(name);
      lease.mutable_spec()->set_holder(holder);
      lease.mutable_spec()->set_epoch(epoch);
      transaction.put(std::move(lease));
      return {};
    };
  }

  Status refuse_a_namesake();
  void work(const std::stop_token& stop);
  void round();
  Status beat();
  void take(const pb::LeaseSpec& seen);
  void set_epoch(int64_t epoch);

  Store& store_;
  SharedLog& log_;
  Clock& clock_;
  const std::string server_;
  const std::string incarnation_;
  const LeaseTimes times_;
  const std::function<void()> replaced_;
  std::vector<std::function<void(bool)>> changes_;
  std::function<std::string()> report_ = [] { return std::string(); };

  std::atomic<int64_t> epoch_ = 0;  // that this server holds; 0: none
  std::atomic<MonoTime> told_{};    // when it last counted up
  Locked<std::map<std::string, Other>> others_;
  bool is_replaced_ = false;
  std::jthread thread_;
};

// Two processes under one name would both be the holder by their name.
Status SharedLease::refuse_a_namesake() {
  const auto beat_of = [&]() -> Result<int64_t> {
    ASSIGN_OR_RETURN(const auto all, log_.beats());
    for (const ServerBeat& each : all)
      if (each.name == server_) return each.beat;
    return -1;
  };
  ASSIGN_OR_RETURN(const int64_t before, beat_of());
  if (before < 0) return {};
  (void)clock_.sleep_for(times_.beat * 3, {});
  ASSIGN_OR_RETURN(const int64_t after, beat_of());
  if (after == before || after < 0) return {};
  return Error(
      Code::kFailedPrecondition,
      fmt::format("a server named \"{}\" is up: give this one another --replica-name", server_));
}

Status SharedLease::start() {
  RETURN_IF_ERROR(refuse_a_namesake());
  RETURN_IF_ERROR(log_.enter(server_, incarnation_));
  round();
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  return {};
}

void SharedLease::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  if (held()) {
    const Edit give_up = fenced(put(kLeaseName, "", epoch_));
    set_epoch(0);
    (void)store_.write(kActor, give_up);
  }
  (void)log_.leave(server_, incarnation_);
}

void SharedLease::work(const std::stop_token& stop) {
  while (clock_.sleep_for(times_.beat, stop)) round();
}

Status SharedLease::beat() {
  const MonoTime began = clock_.mono();
  ASSIGN_OR_RETURN(const auto all, log_.beat(server_, incarnation_, report_()));
  told_ = began;
  others_.with([&](auto& others) {
    std::map<std::string, Other> now;
    for (const ServerBeat& each : all) {
      if (each.name == server_) continue;
      const auto known = others.find(each.name);
      const bool same = known != others.end() && known->second.last.beat == each.beat &&
                        known->second.last.incarnation == each.incarnation;
      now[each.name] = {each, same ? known->second.heard : began};
    }
    others = std::move(now);
  });
  return {};
}

void SharedLease::round() {
  if (is_replaced_) return;
  if (const Status done = beat(); !done) {
    spdlog::warn("lease: {}", done.error().message());
    if (done.error().code() == Code::kFailedPrecondition) {
      is_replaced_ = true;
      set_epoch(0);
      replaced_();
    } else if (!held()) {
      set_epoch(0);
    }
    return;
  }
  const pb::LeaseSpec lease = lease_of(*store_.snapshot());
  if (epoch_ != 0 && lease.epoch() > epoch_) set_epoch(0);
  if (epoch_ == 0 && (lease.holder() == server_ || !is_alive(lease.holder()))) take(lease);
}

// Whoever of those that want it comes first in the log has it.
void SharedLease::take(const pb::LeaseSpec& seen) {
  const int64_t epoch = seen.epoch() + 1;
  const auto written = store_.write(
      kActor,
      [epoch, set = put(kLeaseName, server_, epoch)](Transaction& transaction) -> Status {
        if (lease_of(transaction.snapshot()).epoch() + 1 != epoch)
          return Error(Code::kFailedPrecondition, "another server was first");
        return set(transaction);
      });
  if (!written) {
    if (written.error().code() != Code::kFailedPrecondition)
      spdlog::warn("lease: {}", written.error().message());
    return;
  }
  spdlog::info("lease: this server, \"{}\", holds it from now on (epoch {}; before: \"{}\")",
               server_, epoch, seen.holder());
  set_epoch(epoch);
}

void SharedLease::set_epoch(int64_t epoch) {
  const int64_t before = epoch_.exchange(epoch);
  if ((before != 0) == (epoch != 0)) return;
  if (epoch == 0) spdlog::warn("lease: this server, \"{}\", does not hold it any more", server_);
  for (const auto& change : changes_) change(epoch != 0);
}

}  // namespace

std::unique_ptr<Lease> make_sole_lease(std::string server) {
  return std::make_unique<SoleLease>(std::move(server));
}

std::unique_ptr<Lease> make_shared_lease(Store& store, SharedLog& log, Clock& clock,
                                         std::string server, LeaseTimes times,
                                         std::function<void()> replaced) {
  return std::make_unique<SharedLease>(store, log, clock, std::move(server), times,
                                       std::move(replaced));
}

}  // namespace frameworks
