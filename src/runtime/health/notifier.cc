#include "runtime/health/notifier.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "base/locked.h"
#include "base/log.h"
#include "control/reconciler.h"
#include "control/store_follower.h"

namespace frameworks {
namespace {

using google::protobuf::Timestamp;
using google::protobuf::util::TimeUtil;

constexpr const char* kActor = "system/notifier";
constexpr Duration kTick = std::chrono::milliseconds(500);
constexpr int kWorkers = 2;

Timestamp timestamp(WallTime time) {
  return TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

// When what is to be told of the incident happened.
const Timestamp& newest(const pb::Incident& incident) {
  return incident.status().has_close_time() ? incident.status().close_time()
                                            : incident.status().open_time();
}

bool is_told(const pb::Incident& incident) {
  return incident.status().has_notify_time() && incident.status().notify_time() > newest(incident);
}

class NotifierImpl final : public Notifier {
 public:
  NotifierImpl(Store& store, Clock& clock, WebClient& client, Options options)
      : store_(store),
        clock_(clock),
        client_(client),
        options_(std::move(options)),
        incidents_(clock,
                   {.name = "notifications",
                    .workers = kWorkers,
                    .first_retry = options_.first_retry,
                    .last_retry = options_.last_retry},
                   [this](const std::string& name, const std::stop_token& stop) {
                     return tell_of(name, stop);
                   }),
        follower_(
            store, "notifications", [this](const Snapshot& snapshot) { begin_with(snapshot); },
            [this](const Change& change) { take(change); }) {}

  ~NotifierImpl() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    incidents_.stop();
  }

  Status begin() {
    RETURN_IF_ERROR(follower_.start());
    incidents_.start();
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (clock_.sleep_for(kTick, stop)) follower_.catch_up();
    });
    return {};
  }

  Counts counts() const override { return {told_.load(), failed_.load()}; }

 private:
  // Also what an earlier notifier did not get told.
  void begin_with(const Snapshot& snapshot) {
    for (const auto& incident : snapshot.list<pb::Incident>())
      if (!incident->status().has_close_time() || !is_told(*incident))
        incidents_.enqueue(incident->metadata().name());
  }

  void take(const Change& change) {
    if (change.key.kind == "Incident" && change.after && change.actor.name != kActor &&
        !is_told(change.after.as<pb::Incident>()))
      incidents_.enqueue(change.key.name);
  }

  Result<std::optional<Duration>> tell_of(const std::string& name, const std::stop_token& stop) {
    const SnapshotPtr snapshot = store_.snapshot();
    const auto* incident = snapshot->find<pb::Incident>(name);
    if (incident == nullptr) return forget(name);
    const bool is_closed = incident->status().has_close_time();
    if (is_told(*incident)) {
      if (is_closed) return forget(name);
      return repeat(*incident, stop);
    }
    std::string problem;
    for (const Receiver& receiver : options_.receivers) {
      if (stop.stop_requested()) return Error(Code::kCancelled, "stopped");
      if (has_taken(name, is_closed, receiver)) continue;
      if (const Status sent = send(receiver, *incident, stop); !sent)
        problem += (problem.empty() ? "" : "; ") + sent.error().message();
      else
        note_taken(name, is_closed, receiver);
    }
    RETURN_IF_ERROR(write(name, newest(*incident), problem));
    if (!problem.empty()) return Error(Code::kUnavailable, problem);
    if (is_closed) return forget(name);
    return std::optional<Duration>(options_.repeat);
  }

  Result<std::optional<Duration>> repeat(const pb::Incident& incident,
                                         const std::stop_token& stop) {
    bool any = false;
    for (const Receiver& receiver : options_.receivers) {
      if (receiver.form != Receiver::Form::kAlertmanager || stop.stop_requested()) continue;
      any = true;
      RETURN_IF_ERROR(send(receiver, incident, stop));
    }
    if (!any) return std::optional<Duration>();
    return std::optional<Duration>(options_.repeat);
  }

  Status send(const Receiver& receiver, const pb::Incident& incident, const std::stop_token& stop) {
    WebRequest request =
        notice_to(receiver, incident, timestamp(clock_.wall() + 5 * options_.repeat));
    request.stop = stop;
    const auto answer = client_.ask(request);
    if (answer && answer->status >= 200 && answer->status < 300) {
      ++told_;
      return {};
    }
    ++failed_;
    // A body may repeat the URL, or be a page: the status says enough.
    return Error(Code::kUnavailable,
                 answer ? fmt::format("{}: status {}", receiver.name, answer->status)
                        : fmt::format("{}: {}", receiver.name,
                                      without_url(answer.error().message(), receiver)));
  }

  Status write(const std::string& name, const Timestamp& told, const std::string& problem) {
    const auto done = store_.write(kActor, [&](Transaction& transaction) -> Status {
      const auto* stored = transaction.snapshot().find<pb::Incident>(name);
      if (stored == nullptr) return {};
      pb::Incident next = *stored;
      if (problem.empty()) {
        // After what was told, and not after what was not: it may have closed in the meantime.
        const Timestamp after = told + TimeUtil::MicrosecondsToDuration(1);
        *next.mutable_status()->mutable_notify_time() =
            newest(next) > told ? told : std::max(after, timestamp(transaction.time()));
        next.mutable_status()->clear_notify_error();
      } else {
        next.mutable_status()->set_notify_error(problem);
      }
      transaction.put(std::move(next));
      return {};
    });
    return done ? Status() : done.error();
  }

  // Who took the newest state already, while others did not.
  using Taken = std::map<std::string, std::set<std::string>>;  // "incident/closed" → receivers
  static std::string key_of(const std::string& name, bool is_closed) {
    return name + (is_closed ? "/closed" : "/open");
  }
  bool has_taken(const std::string& name, bool is_closed, const Receiver& receiver) {
    return taken_.with(
        [&](Taken& taken) { return taken[key_of(name, is_closed)].contains(receiver.name); });
  }
  void note_taken(const std::string& name, bool is_closed, const Receiver& receiver) {
    taken_.with([&](Taken& taken) { taken[key_of(name, is_closed)].insert(receiver.name); });
  }
  Result<std::optional<Duration>> forget(const std::string& name) {
    taken_.with([&](Taken& taken) {
      taken.erase(key_of(name, false));
      taken.erase(key_of(name, true));
    });
    return std::optional<Duration>();
  }

  Store& store_;
  Clock& clock_;
  WebClient& client_;
  const Options options_;
  Locked<Taken> taken_;
  std::atomic<int64_t> told_{0};
  std::atomic<int64_t> failed_{0};
  Reconciler incidents_;
  StoreFollower follower_;  // the thread's
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<Notifier>> Notifier::start(Store& store, Clock& clock, WebClient& client,
                                                  Options options) {
  auto notifier = std::make_unique<NotifierImpl>(store, clock, client, std::move(options));
  RETURN_IF_ERROR(notifier->begin());
  return std::unique_ptr<Notifier>(std::move(notifier));
}

}  // namespace frameworks
