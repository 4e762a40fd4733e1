#include "runtime/health/node_health.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {
namespace {

// Of falls to suspect: half of those to down.
constexpr double kSuspectWeight = 0.5;

bool is_watched(pb::Health state) {
  return state == pb::HEALTH_HEALTHY || state == pb::HEALTH_SUSPECT;
}

// Whole tenths read better: "3.1 s".
std::string seconds_text(Duration time) {
  const auto tenths = time / std::chrono::milliseconds(100);
  return fmt::format("{}.{} s", tenths / 10, tenths % 10);
}

}  // namespace

void NodeHealthTable::add(std::string_view node, pb::Health state, MonoTime since) {
  const auto [at, added] = nodes_.try_emplace(std::string(node));
  if (!added) return;
  Entry& entry = at->second;
  // What makes a node that answers degraded is told anew by its heartbeats.
  entry.state = state == pb::HEALTH_UNSPECIFIED ? pb::HEALTH_UNKNOWN
                : state == pb::HEALTH_DEGRADED  ? pb::HEALTH_HEALTHY
                                                : state;
  entry.interval = entry.told = times_.interval;
  // Not yet heard by this observer: counted as heard at the end of the grace period.
  entry.heard = since + times_.grace;
}

void NodeHealthTable::remove(std::string_view node) {
  const auto at = nodes_.find(node);
  if (at != nodes_.end()) nodes_.erase(at);
}

void NodeHealthTable::set_maintained(std::string_view node, bool maintained) {
  if (const auto at = nodes_.find(node); at != nodes_.end()) at->second.maintained = maintained;
}

void NodeHealthTable::expect(std::string_view node, Duration interval) {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return;
  at->second.told = interval;
  // It may still keep to the longer one.
  at->second.interval = std::max(at->second.interval, interval);
}

pb::Health NodeHealthTable::state(std::string_view node) const {
  const auto at = nodes_.find(node);
  return at == nodes_.end() ? pb::HEALTH_UNSPECIFIED : at->second.state;
}

Duration NodeHealthTable::interval(std::string_view node) const {
  const auto at = nodes_.find(node);
  return at == nodes_.end() ? times_.interval : at->second.interval;
}

std::vector<std::string> NodeHealthTable::answering(std::string_view after, size_t limit) const {
  std::vector<std::string> out;
  const auto take = [&](Entries::const_iterator from, Entries::const_iterator to) {
    for (; from != to && out.size() < limit; ++from)
      if (from->second.state == pb::HEALTH_HEALTHY) out.push_back(from->first);
  };
  const auto begin = nodes_.upper_bound(after);
  take(begin, nodes_.end());
  take(nodes_.begin(), begin);
  return out;
}

HealthTransition NodeHealthTable::told(const Entries::value_type& node, MonoTime now) const {
  const auto& [name, entry] = node;
  HealthTransition out{name, entry.state, "", entry.silence, entry.flapping};
  const Duration silence = now - entry.heard;
  const std::string since = "no heartbeat for " + seconds_text(silence);
  if (silence < HealthTimes::suspect_after(entry.interval)) {
    out.reason = entry.flapping ? "flapping: heartbeats arrive, and stopped too often; held until "
                                  "it is calm"
                                : "heartbeats arrive";
    return out;
  }
  switch (entry.silence) {
    case Silence::kNone:
      out.reason = since;
      break;
    case Silence::kPartitioned:
      out.reason = fmt::format("partitioned: {} here; {}", since, entry.how);
      break;
    case Silence::kAgentOnly:
      out.reason = fmt::format("agent silent: {}; {}", since, entry.how);
      break;
    case Silence::kHeld:
      out.reason = fmt::format("held: {}; {} of {} nodes vanished at once, nobody is given up yet",
                               since, missing_, population_);
      break;
  }
  return out;
}

bool NodeHealthTable::is_recent(const Entry& entry, MonoTime reached, MonoTime now) {
  // Two rounds without an answer are none; one may get lost.
  return reached > entry.heard && now - reached < HealthTimes::probe_every(entry.interval) * 5 / 2;
}

bool NodeHealthTable::is_reached(const Entry& entry, MonoTime now) {
  return is_recent(entry, entry.peer_reached, now) || is_recent(entry, entry.server_reached, now);
}

bool NodeHealthTable::is_held(Entry& entry, MonoTime now) const {
  if (entry.maintained || !is_mass_loss()) return false;
  if (entry.silence != Silence::kHeld) entry.held_since = now;
  const Duration held = now - entry.held_since;
  const bool confirmed = entry.unreached > entry.held_since;
  return held < (confirmed ? times_.hold : times_.hold_at_most);
}

void NodeHealthTable::fall(Entry& entry, pb::Health state, MonoTime now) {
  const bool is_down = state == pb::HEALTH_DOWN;
  entry.flaps.fall(now, is_down ? 1 : kSuspectWeight, times_.flaps);
  entry.flapping = entry.flaps.flapping(now, times_.flaps);
  if (is_down) entry.lost = now;
}

std::vector<HealthTransition> NodeHealthTable::heartbeat(std::string_view node, MonoTime now) {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return {};
  Entry& entry = at->second;
  const Duration silence = now - entry.heard;
  // Also while it is held back it may fall.
  if (entry.flapping && silence >= HealthTimes::down_after(entry.interval) &&
      entry.state == pb::HEALTH_DOWN)
    entry.flaps.fall(now, 1, times_.flaps);
  entry.heard = now;
  entry.interval = entry.told;
  const Silence was = std::exchange(entry.silence, Silence::kNone);
  if (entry.state == pb::HEALTH_HEALTHY) return {};
  if (entry.flaps.flapping(now, times_.flaps)) {
    const bool is_new = !std::exchange(entry.flapping, true);
    if (!is_new && was == Silence::kNone && silence < HealthTimes::suspect_after(entry.interval))
      return {};
    return {told(*at, now)};
  }
  entry.flapping = false;
  entry.state = pb::HEALTH_HEALTHY;
  return {told(*at, now)};
}

void NodeHealthTable::count(MonoTime now) {
  population_ = missing_ = held_ = 0;
  for (const auto& [name, entry] : nodes_) {
    if (entry.silence == Silence::kHeld) ++held_;
    if (entry.maintained) continue;
    const bool lost_lately = entry.state == pb::HEALTH_DOWN && entry.lost != MonoTime{} &&
                             now - entry.lost < times_.window();
    if (!is_watched(entry.state) && !lost_lately) continue;
    ++population_;
    const bool silent = now - entry.heard >= HealthTimes::suspect_after(entry.interval);
    if (silent && !is_reached(entry, now)) ++missing_;
  }
}

bool NodeHealthTable::judge(Entry& entry, MonoTime now) {
  const auto before = std::tuple(entry.state, entry.silence, entry.flapping);
  const Duration silence = now - entry.heard;
  if (silence >= HealthTimes::down_after(entry.interval)) {
    // The server's own word counts for more than that of peers: then the network is not to blame.
    const Silence next = is_recent(entry, entry.server_reached, now) ? Silence::kAgentOnly
                         : is_reached(entry, now)                    ? Silence::kPartitioned
                         : is_held(entry, now)                       ? Silence::kHeld
                                                                     : Silence::kNone;
    const pb::Health state = next == Silence::kNone ? pb::HEALTH_DOWN : pb::HEALTH_SUSPECT;
    if (state > entry.state) fall(entry, state, now);
    entry.state = state;
    entry.silence = next;
  } else if (silence >= HealthTimes::suspect_after(entry.interval)) {
    if (entry.state == pb::HEALTH_HEALTHY) fall(entry, pb::HEALTH_SUSPECT, now);
    entry.state = pb::HEALTH_SUSPECT;
  }
  return before != std::tuple(entry.state, entry.silence, entry.flapping);
}

std::vector<HealthTransition> NodeHealthTable::tick(MonoTime now) {
  // An observer that was not run for a while (suspended, starved) could not have heard anything.
  const Duration since = now - ticked_;
  const Duration stalled = since > times_.interval ? since - times_.tick() : Duration{0};
  ticked_ = now;
  // Not past now: what was heard since the stall ended counts from when it was heard.
  if (stalled > Duration{0})
    for (auto& [name, entry] : nodes_)
      entry.heard = std::max(entry.heard, std::min(entry.heard + stalled, now));
  count(now);
  std::vector<HealthTransition> out;
  for (auto& node : nodes_) {
    Entry& entry = node.second;
    const bool is_calm = entry.flapping &&
                         (now - entry.heard) < HealthTimes::suspect_after(entry.interval) &&
                         !entry.flaps.flapping(now, times_.flaps);
    if (is_calm) {
      entry.flapping = false;
      entry.state = pb::HEALTH_HEALTHY;
      out.push_back(told(node, now));
    } else if (is_watched(entry.state) && judge(entry, now)) {
      out.push_back(told(node, now));
    }
  }
  count(now);
  return out;
}

std::vector<std::string> NodeHealthTable::to_probe(MonoTime now, size_t limit) {
  std::vector<std::string> out;
  for (auto& [name, entry] : nodes_) {
    if (out.size() >= limit) break;
    if (entry.state != pb::HEALTH_SUSPECT ||
        (now - entry.heard) < HealthTimes::suspect_after(entry.interval))
      continue;
    if (entry.asked > entry.heard && now - entry.asked < HealthTimes::probe_every(entry.interval))
      continue;
    entry.asked = now;
    out.push_back(name);
  }
  return out;
}

std::vector<HealthTransition> NodeHealthTable::probed(std::string_view node, std::string_view by,
                                                      bool reachable, std::string_view how,
                                                      MonoTime now) {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return {};
  Entry& entry = at->second;
  // An answer to what was asked before it was heard again says nothing.
  if (entry.asked <= entry.heard) return {};
  const bool by_server = by.empty();
  if (!reachable) {
    if (!by_server) entry.unreached = now;
    return {};
  }
  // What the server found itself is told rather than what a peer did.
  if (by_server || !is_recent(entry, entry.server_reached, now))
    entry.how = fmt::format("{} reaches it ({})", by_server ? "the server" : by, how);
  (by_server ? entry.server_reached : entry.peer_reached) = now;
  const bool late = entry.state == pb::HEALTH_DOWN || entry.silence != Silence::kNone;
  if (!late || !judge(entry, now)) return {};
  return {told(*at, now)};
}

}  // namespace frameworks
