#include "runtime/sessions/convergence.h"

#include <algorithm>

namespace frameworks {

Convergence::Convergence(std::vector<std::string> planes) : order_(std::move(planes)) {
  for (const std::string& plane : order_) planes_[plane];
}

Convergence::Section* Convergence::find(const std::string& node, const std::string& plane) {
  const auto state = planes_.find(plane);
  if (state == planes_.end()) return nullptr;
  const auto at = state->second.nodes.find(node);
  return at == state->second.nodes.end() ? nullptr : &at->second;
}

void Convergence::resolve(PlaneState& plane, Section& section, WallTime now) {
  for (const Revision revision : section.pending) {
    const auto wave = plane.waves.find(revision);
    if (wave == plane.waves.end()) continue;
    wave->second.slowest = std::max<Duration>(wave->second.slowest, now - wave->second.time);
  }
  section.pending.clear();
  section.error.clear();
}

void Convergence::want(const std::string& node, const std::string& plane, const std::string& hash,
                       Revision revision, WallTime time) {
  const auto state = planes_.find(plane);
  if (state == planes_.end()) return;
  Section& section = state->second.nodes[node];
  if (section.wanted == hash) return;
  section.wanted = hash;
  section.error.clear();
  if (section.applied == hash) return resolve(state->second, section, time);  // it was taken back
  auto& waves = state->second.waves;
  waves.try_emplace(revision, Wave{time, Duration{0}});
  while (waves.size() > kWaves) waves.erase(waves.begin());
  // The oldest counts for "has it arrived", the newest for "how long did it take".
  if (section.pending.size() >= kPending) section.pending.erase(std::prev(section.pending.end()));
  section.pending.insert(revision);
}

void Convergence::applied(const std::string& node, const std::string& plane,
                          const std::string& hash, WallTime now) {
  const auto state = planes_.find(plane);
  if (state == planes_.end()) return;
  Section& section = state->second.nodes[node];
  section.applied = hash;
  if (!section.wanted.empty() && section.wanted == hash) resolve(state->second, section, now);
}

void Convergence::failed(const std::string& node, const std::string& plane,
                         const std::string& why) {
  if (Section* section = find(node, plane); section != nullptr && !section->pending.empty())
    section->error = why;
}

void Convergence::remove(const std::string& node) {
  for (auto& [name, plane] : planes_) plane.nodes.erase(node);
}

void Convergence::forget(const std::string& node) {
  for (auto& [name, plane] : planes_) {
    Section& section = plane.nodes[node];
    section.wanted.clear();
    section.pending.clear();
    section.error.clear();
  }
}

std::string Convergence::wanted(const std::string& node, const std::string& plane) const {
  const auto* section = const_cast<Convergence*>(this)->find(node, plane);
  return section == nullptr ? std::string() : section->wanted;
}

bool Convergence::converged(const std::string& node) const {
  return std::all_of(order_.begin(), order_.end(), [&](const std::string& plane) {
    const auto* section = const_cast<Convergence*>(this)->find(node, plane);
    return section != nullptr && !section->wanted.empty() && section->wanted == section->applied;
  });
}

std::vector<Convergence::Plane> Convergence::at(Revision revision) const {
  std::vector<Plane> out;
  for (const std::string& name : order_) {
    const PlaneState& state = planes_.find(name)->second;
    Plane plane{name, static_cast<int>(state.nodes.size()), {}, {}};
    for (const auto& [node, section] : state.nodes) {
      const bool waits = section.wanted.empty() ||
                         (section.wanted != section.applied && !section.pending.empty() &&
                          *section.pending.begin() <= revision);
      if (waits)
        plane.waiting.push_back({node, section.error,
                                 section.pending.empty() ? 0 : *section.pending.begin(),
                                 !section.error.empty()});
    }
    if (plane.waiting.empty()) plane.elapsed = elapsed(name, revision);
    out.push_back(std::move(plane));
  }
  return out;
}

Duration Convergence::elapsed(const std::string& plane, Revision revision) const {
  const auto& waves = planes_.find(plane)->second.waves;
  const auto after = waves.upper_bound(revision);
  return after == waves.begin() ? Duration{0} : std::prev(after)->second.slowest;
}

}  // namespace frameworks
