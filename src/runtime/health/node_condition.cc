#include "runtime/health/node_condition.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace frameworks {
namespace {

constexpr int kToEnter = 3;
constexpr int kToLeave = 5;

}  // namespace

bool NodeCondition::Switch::count(bool enters, bool leaves) {
  const bool towards_other = is_on ? leaves : enters;
  in_a_row = towards_other ? in_a_row + 1 : 0;
  if (in_a_row < (is_on ? kToLeave : kToEnter)) return false;
  is_on = !is_on;
  in_a_row = 0;
  return true;
}

bool NodeCondition::take(const pb::Heartbeat& heartbeat, double bandwidth_mbps, WallTime now) {
  bool changed = false;
  if (heartbeat.has_load()) {
    const pb::NodeLoad& load = heartbeat.load();
    const std::array<double, kLimits.size()> shares{
        load.cpu(), load.memory(), load.disk(),
        bandwidth_mbps > 0 ? load.sent_mbps() / bandwidth_mbps : 0};
    for (size_t i = 0; i < shares.size(); ++i) {
      if (!std::isfinite(shares[i]) || shares[i] < 0) continue;
      if (!used_[i].count(shares[i] >= kLimits[i].enter, shares[i] < kLimits[i].leave)) continue;
      percent_[i] = static_cast<int>(std::lround(std::min(shares[i], 9.99) * 100));
      changed = true;
    }
  }
  if (!heartbeat.has_time()) return changed;
  const auto server =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  // Both are within what a timestamp may say, or nonsense: no difference overflows.
  const int64_t ahead =
      std::clamp<int64_t>(heartbeat.time().seconds(), -62'135'596'800, 253'402'300'799) - server;
  const int64_t off = std::abs(ahead);
  if (clock_.count(off > kClockTolerance.count(), off <= kClockTolerance.count() / 2)) {
    seconds_ahead_ = ahead;
    changed = true;
  }
  return changed;
}

void NodeCondition::restore(const pb::NodeHealth& health) {
  for (size_t i = 0; i < used_.size(); ++i)
    used_[i].is_on = std::find(health.saturated().begin(), health.saturated().end(),
                               kLimits[i].name) != health.saturated().end();
  clock_.is_on = health.clock_off();
}

std::vector<std::string> NodeCondition::saturated() const {
  std::vector<std::string> out;
  for (size_t i = 0; i < used_.size(); ++i)
    if (used_[i].is_on) out.emplace_back(kLimits[i].name);
  return out;
}

std::string NodeCondition::complaint() const {
  std::string out;
  for (size_t i = 0; i < used_.size(); ++i)
    if (used_[i].is_on)
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", kLimits[i].name,
                         percent_[i] == 0 ? "is used up" : fmt::format("at {} %", percent_[i]));
  if (clock_.is_on)
    out += fmt::format("{}clock {}", out.empty() ? "" : ", ",
                       seconds_ahead_ == 0 ? "is wrong"
                                           : fmt::format("{} s {}", std::abs(seconds_ahead_),
                                                         seconds_ahead_ > 0 ? "ahead" : "behind"));
  return out;
}

}  // namespace frameworks
