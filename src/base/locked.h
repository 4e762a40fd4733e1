// Data that cannot be reached without its lock.
#pragma once

#include <mutex>
#include <utility>

namespace frameworks {

template <typename T>
class Locked {
 public:
  template <typename... Args>
  explicit Locked(Args&&... args) : value_(std::forward<Args>(args)...) {}

  // Calls `use(T&)` under the lock and returns what it returns. Never call out from within.
  template <typename Use>
  auto with(Use&& use) {
    std::lock_guard lock(mutex_);
    return std::forward<Use>(use)(value_);
  }
  template <typename Use>
  auto with(Use&& use) const {
    std::lock_guard lock(mutex_);
    return std::forward<Use>(use)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

}  // namespace frameworks
