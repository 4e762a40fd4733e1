// What is to happen when, by steps of time: adding and taking cost the same however much waits.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace frameworks {

template <typename Event>
class Calendar {
 public:
  Calendar(MonoTime start, Duration step) : now_(start), step_(step) {}

  // In the step that ends at `at` or after it; what is past, in the next one.
  void add(MonoTime at, Event event) {
    const Duration ahead = at - now_;
    const size_t index = ahead <= step_ ? 0 : static_cast<size_t>((ahead - Duration(1)) / step_);
    while (steps_.size() <= index) steps_.emplace_back();
    steps_[index].push_back(std::move(event));
  }

  // The events of the step that ends now, in the order in which they were added.
  std::vector<Event> next() {
    now_ += step_;
    if (steps_.empty()) return {};
    std::vector<Event> out = std::move(steps_.front());
    steps_.pop_front();
    return out;
  }

 private:
  MonoTime now_;
  const Duration step_;
  std::deque<std::vector<Event>> steps_;
};

}  // namespace frameworks
