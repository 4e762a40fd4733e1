// Which nodes are healthy, suspect or down, from their heartbeats and from what others say of those
// that are silent. Pure: time is an argument.
//
//   unknown ──heartbeat──► healthy ──1.5 intervals──► suspect ──2.6 intervals──► down
//                             ▲                       │  ▲ │                      │
//                             │          peers reach it; or many vanished at once │
//                             └────────heartbeat──────┴─────────heartbeat─────────┘
//
// A closed stream alone says nothing: agents restart, networks hiccup. Only silence counts. When
// the observer itself stood still, the nodes' silence is not counted for that time.
//
// * A suspect node is looked for from elsewhere (to_probe(), probed()). One that a peer reaches is
//   partitioned from this server, one that the server itself reaches has a silent agent: both stay
//   suspect, for as long as somebody reaches them.
// * When more than a third of the nodes, and at least two, vanish within ten intervals, that is a
//   mass loss: they are held, i.e. stay suspect, until they return, until no more than a third is
//   missing, or until the time that HealthTimes says. All that vanish together are suspect before
//   the first of them would be down: suspect and down are more than an interval apart.
// * A node that falls again and again is flapping: it is held at its worst until it is calm.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/resource.pb.h"
#include "model/kind.h"
#include "runtime/health/flap_damper.h"

namespace frameworks {

struct HealthTimes {
  // How often nodes send a heartbeat, where they were told nothing else.
  Duration interval = std::chrono::seconds(1);
  // After the observer's start, how much longer a node may take to be heard for the first time.
  Duration grace = std::chrono::seconds(10);
  // How long nodes of a mass loss are held when peers do not reach them either...
  Duration hold = std::chrono::seconds(60);
  // ...and when nobody could be asked.
  Duration hold_at_most = std::chrono::minutes(10);
  FlapDamper::Limits flaps{};

  static Duration suspect_after(Duration interval) { return interval + interval / 2; }
  static Duration down_after(Duration interval) { return interval * 13 / 5; }
  // Silent nodes are looked for this often.
  static Duration probe_every(Duration interval) { return 3 * interval; }
  // How long an answer about a silent node may take, so that it comes before the verdict.
  static Duration probe_timeout(Duration interval) { return interval * 7 / 10; }
  // How often tick() is to be called.
  [[nodiscard]] Duration tick() const { return interval / 5; }
  // Nodes that vanish within this time vanish together.
  [[nodiscard]] Duration window() const { return 10 * interval; }
};

// Why a silent node is not down.
enum class Silence { kNone, kPartitioned, kAgentOnly, kHeld };

struct HealthTransition {
  std::string node;
  pb::Health state = pb::HEALTH_UNKNOWN;
  std::string reason;
  Silence silence = Silence::kNone;
  bool flapping = false;

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
  // Somebody is at work on the node: it does not count for a mass loss, and is not held.
  void set_maintained(std::string_view node, bool maintained);
  // The node was told to send its heartbeats this often.
  void expect(std::string_view node, Duration interval);

  // A sign of life. Tells the transition that follows, if any.
  std::vector<HealthTransition> heartbeat(std::string_view node, MonoTime now);
  // To be called every tick(): the transitions that silence leads to.
  std::vector<HealthTransition> tick(MonoTime now);

  // Suspect nodes that are to be looked for now, at most so many; counted as asked.
  std::vector<std::string> to_probe(MonoTime now, size_t limit);
  // What was found by `by` ("" is the server itself) when the node was looked for.
  std::vector<HealthTransition> probed(std::string_view node, std::string_view by, bool reachable,
                                       std::string_view how, MonoTime now);

  // HEALTH_UNSPECIFIED for a node that is not watched.
  [[nodiscard]] pb::Health state(std::string_view node) const;
  [[nodiscard]] Duration interval(std::string_view node) const;
  // Nodes that answer, at most so many, beginning behind `after` and going round.
  [[nodiscard]] std::vector<std::string> answering(std::string_view after, size_t limit) const;
  // How many nodes are held now.
  [[nodiscard]] int held() const { return held_; }

 private:
  struct Entry {
    pb::Health state = pb::HEALTH_UNKNOWN;
    Silence silence = Silence::kNone;
    bool flapping = false;
    bool maintained = false;
    MonoTime heard{};
    Duration interval{};
    Duration told{};  // the interval that holds from the next heartbeat on
    MonoTime asked{};
    MonoTime peer_reached{};  // when a peer reached it last
    MonoTime server_reached{};
    std::string how;
    MonoTime unreached{};  // when a peer last said that it does not
    MonoTime held_since{};
    MonoTime lost{};  // when it became down
    FlapDamper flaps;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  void count(MonoTime now);
  [[nodiscard]] bool is_mass_loss() const { return missing_ >= 2 && 3 * missing_ > population_; }
  // Whether somebody reached it a moment ago, at the given time.
  static bool is_recent(const Entry& entry, MonoTime reached, MonoTime now);
  static bool is_reached(const Entry& entry, MonoTime now);
  [[nodiscard]] bool is_held(Entry& entry, MonoTime now) const;
  [[nodiscard]] HealthTransition told(const Entries::value_type& node, MonoTime now) const;
  // Sets what follows from silence; true when that is something else.
  bool judge(Entry& entry, MonoTime now);
  void fall(Entry& entry, pb::Health state, MonoTime now);

  HealthTimes times_;
  MonoTime start_;
  MonoTime ticked_;
  Entries nodes_;
  int population_ = 0;  // nodes that were there a moment ago, as of the last tick
  int missing_ = 0;     // of these
  int held_ = 0;
};

}  // namespace frameworks
