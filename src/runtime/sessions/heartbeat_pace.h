// How often nodes tell that they live, so that their heartbeats cost a server the same however many
// there are. Pure.
#pragma once

#include <array>

#include "base/clock.h"

namespace frameworks {

class HeartbeatPace {
 public:
  // Heartbeats a second that a server takes at the most, about: a tenth of a core.
  static constexpr size_t kBudget = 1000;

  // `base`: as often as few nodes do; it never becomes more often.
  explicit HeartbeatPace(Duration base) : base_(base), interval_(base) {}

  [[nodiscard]] Duration interval() const { return interval_; }
  // True when another interval follows from the number of nodes that are connected. It becomes
  // shorter only when the nodes are well below the step, so that it does not go to and fro.
  bool update(size_t nodes) {
    Duration next = step_for(nodes);
    if (next < interval_) next = std::min(interval_, step_for(nodes + nodes / 4));
    if (next == interval_) return false;
    interval_ = next;
    return true;
  }

 private:
  // Agents take nothing longer than a minute.
  static constexpr std::array kSteps{1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60};

  [[nodiscard]] Duration step_for(size_t nodes) const {
    const std::chrono::seconds needed(static_cast<int64_t>((nodes + kBudget - 1) / kBudget));
    for (const int step : kSteps)
      if (base_ * step >= needed || base_ * step >= kMost) return std::min(base_ * step, most());
    return most();
  }
  [[nodiscard]] Duration most() const { return std::max<Duration>(base_, kMost); }

  static constexpr std::chrono::seconds kMost{60};
  Duration base_;
  Duration interval_;
};

}  // namespace frameworks
