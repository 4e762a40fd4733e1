#include "runtime/health/node_health.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {

void NodeHealthTable::add(std::string_view node, pb::Health state, MonoTime since) {
  const auto [at, added] = nodes_.try_emplace(std::string(node));
  if (!added) return;
  at->second.state = state == pb::HEALTH_UNSPECIFIED ? pb::HEALTH_UNKNOWN : state;
  // Not yet heard by this observer: counted as heard at the end of the grace period.
  at->second.heard = since + times_.grace;
}

void NodeHealthTable::remove(std::string_view node) {
  const auto at = nodes_.find(node);
  if (at != nodes_.end()) nodes_.erase(at);
}

pb::Health NodeHealthTable::state(std::string_view node) const {
  const auto at = nodes_.find(node);
  return at == nodes_.end() ? pb::HEALTH_UNSPECIFIED : at->second.state;
}

std::vector<HealthTransition> NodeHealthTable::heartbeat(std::string_view node, MonoTime now) {
  const auto at = nodes_.find(node);
  if (at == nodes_.end()) return {};
  Entry& entry = at->second;
  entry.heard = now;
  if (entry.state == pb::HEALTH_HEALTHY) return {};
  entry.state = pb::HEALTH_HEALTHY;
  return {{at->first, pb::HEALTH_HEALTHY, "heartbeats arrive"}};
}

std::vector<HealthTransition> NodeHealthTable::tick(MonoTime now) {
  // An observer that was not run for a while (suspended, starved) could not have heard anything.
  const Duration since = now - ticked_;
  const Duration stalled = since > times_.interval ? since - times_.tick() : Duration{0};
  ticked_ = now;
  std::vector<HealthTransition> out;
  for (auto& [name, entry] : nodes_) {
    // Not past now: what was heard since the stall ended counts from when it was heard.
    entry.heard = std::max(entry.heard, std::min(entry.heard + stalled, now));
    if (entry.state != pb::HEALTH_HEALTHY && entry.state != pb::HEALTH_SUSPECT) continue;
    const Duration silence = now - entry.heard;
    const pb::Health state = silence >= times_.down_after()      ? pb::HEALTH_DOWN
                             : silence >= times_.suspect_after() ? pb::HEALTH_SUSPECT
                                                                 : entry.state;
    if (state == entry.state) continue;
    entry.state = state;
    // Whole tenths read better: "no heartbeat for 3.1 s".
    const auto tenths = silence / std::chrono::milliseconds(100);
    out.push_back({name, state, fmt::format("no heartbeat for {}.{} s", tenths / 10, tenths % 10)});
  }
  return out;
}

}  // namespace frameworks
