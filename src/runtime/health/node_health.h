// Which nodes are healthy, suspect or down, from their heartbeats. Pure: time is an argument.
//
//   unknown ──heartbeat──► healthy ──1.5 intervals──► suspect ──3 intervals──► down
//                             ▲                          │                       │
//                             └────────heartbeat─────────┴───────heartbeat───────┘
//
// A closed stream alone says nothing: agents restart, networks hiccup. Only silence counts. When
// the observer itself stood still, the nodes' silence is not counted for that time.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/resource.pb.h"
#include "model/kind.h"

namespace frameworks {

struct HealthTimes {
  // How often nodes send a heartbeat.
  Duration interval = std::chrono::seconds(1);
  // After the observer's start, how much longer a node may take to be heard for the first time.
  Duration grace = std::chrono::seconds(10);

  [[nodiscard]] Duration suspect_after() const { return interval + interval / 2; }
  [[nodiscard]] Duration down_after() const { return 3 * interval; }
  // How often tick() is to be called.
  [[nodiscard]] Duration tick() const { return interval / 4; }
};

struct HealthTransition {
  std::string node;
  pb::Health state = pb::HEALTH_UNKNOWN;
  std::string reason;

  bool operator==(const HealthTransition&) const = default;
};

// Not threadsafe.
class NodeHealthTable {
 public:
  NodeHealthTable(HealthTimes times, MonoTime start)
      : times_(times), start_(start), ticked_(start) {}

  // Begins to watch a node whose last known state is `state`; a node that was in use before has the
  // grace period after `since` to be heard. No effect on a node that is watched already.
  void add(std::string_view node, pb::Health state, MonoTime since);
  // The same since the observer's start.
  void add(std::string_view node, pb::Health state) { add(node, state, start_); }
  void remove(std::string_view node);

  // A sign of life. Tells the transition that follows, if any.
  std::vector<HealthTransition> heartbeat(std::string_view node, MonoTime now);
  // To be called every tick(): the transitions that silence leads to.
  std::vector<HealthTransition> tick(MonoTime now);

  // HEALTH_UNSPECIFIED for a node that is not watched.
  [[nodiscard]] pb::Health state(std::string_view node) const;

 private:
  struct Entry {
    pb::Health state = pb::HEALTH_UNKNOWN;
    MonoTime heard{};
  };

  HealthTimes times_;
  MonoTime start_;
  MonoTime ticked_;
  std::map<std::string, Entry, std::less<>> nodes_;
};

}  // namespace frameworks
