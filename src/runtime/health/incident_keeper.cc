#include "runtime/health/incident_keeper.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "control/store_follower.h"
#include "runtime/health/incident_write.h"

namespace frameworks {
namespace {

constexpr const char* kActor = "system/incidents";

class Keeper final : public IncidentKeeper {
 public:
  Keeper(Store& store, Clock& clock, Options options)
      : store_(store),
        clock_(clock),
        options_(options),
        follower_(
            store, "incidents",
            [this](const Snapshot& snapshot) {
              sick_ = SickList::of(snapshot);
              is_due_ = true;
            },
            [this](const Change& change) {
              if (change.actor.name != kActor) is_due_ |= sick_.take(change);
            }) {}

  ~Keeper() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  Status begin() {
    RETURN_IF_ERROR(follower_.start());
    if (options_.has_thread)
      thread_ = std::jthread([this](const std::stop_token& stop) {
        while (clock_.sleep_for(options_.tick, stop)) step();
      });
    return {};
  }

  void step() override {
    follower_.catch_up();
    // Rollouts that were rolled back are over after a time.
    if (!is_due_ && settling_.empty() && sick_.rollouts().empty()) return;
    const SnapshotPtr snapshot = store_.snapshot();
    const auto open = open_incidents(*snapshot);
    WantedIncidents wanted = plan_incidents(*snapshot, sick_, open, clock_.wall());
    settle(wanted, open);
    const auto done = store_.write(kActor, [&](Transaction& transaction) -> Status {
      write_incidents(transaction, wanted);
      return {};
    });
    is_due_ = !done;
    if (!done) return spdlog::warn("incidents: not written yet: {}", done.error().text());
    for (const Change& change : done->changes) tell(change);
  }

 private:
  // Takes out of `wanted` what is too new to be told of.
  void settle(WantedIncidents& wanted,
              const std::vector<std::shared_ptr<const pb::Incident>>& open) {
    std::set<IncidentKey> present;
    std::set<std::string> concerned;
    for (const auto& incident : open) {
      present.insert({incident->spec().type(), incident->spec().object()});
      concerned.insert(incident->status().objects().begin(), incident->status().objects().end());
    }
    // What goes on under another name is not new.
    const auto goes_on = [&](const WantedIncident& incident) {
      return std::any_of(incident.concerned.begin(), incident.concerned.end(),
                         [&](const auto& entry) { return concerned.contains(entry.first); });
    };
    const MonoTime now = clock_.mono();
    std::map<IncidentKey, MonoTime> next;
    for (auto at = wanted.begin(); at != wanted.end();) {
      if (present.contains(at->first) || goes_on(at->second)) {
        ++at;
        continue;
      }
      const auto known = settling_.find(at->first);
      const MonoTime since = known == settling_.end() ? now : known->second;
      if (now - since >= options_.settle) {
        ++at;
        continue;
      }
      next.emplace(at->first, since);
      at = wanted.erase(at);
    }
    settling_ = std::move(next);
  }

  static void tell(const Change& change) {
    if (change.key.kind != "Incident" || !change.after) return;
    const auto& incident = change.after.as<pb::Incident>();
    const bool is_closed = incident.status().has_close_time();
    if (change.before && change.before.as<pb::Incident>().status().has_close_time() == is_closed)
      return;
    spdlog::warn("incident {} is {}: {}", change.key.name, is_closed ? "closed" : "open",
                 incident.spec().cause());
  }

  Store& store_;
  Clock& clock_;
  const Options options_;
  // The thread's own.
  SickList sick_;
  bool is_due_ = true;
  StoreFollower follower_;
  std::map<IncidentKey, MonoTime> settling_;  // since when they are wanted
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<IncidentKeeper>> IncidentKeeper::start(Store& store, Clock& clock,
                                                              Options options) {
  auto keeper = std::make_unique<Keeper>(store, clock, options);
  RETURN_IF_ERROR(keeper->begin());
  return std::unique_ptr<IncidentKeeper>(std::move(keeper));
}

}  // namespace frameworks
