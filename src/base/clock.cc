#include "base/clock.h"

namespace frameworks {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime wall() const override { return std::chrono::system_clock::now(); }
  MonoTime mono() const override { return std::chrono::steady_clock::now(); }
  bool sleep_for(Duration duration, std::stop_token stop) override {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, duration, [] { return false; });
    return !stop.stop_requested();
  }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

WallTime ManualClock::wall() const {
  std::lock_guard lock(mutex_);
  return start_ + std::chrono::duration_cast<WallTime::duration>(elapsed_);
}

MonoTime ManualClock::mono() const {
  std::lock_guard lock(mutex_);
  return MonoTime{} + elapsed_;
}

bool ManualClock::sleep_for(Duration duration, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const Duration until = elapsed_ + duration;
  changed_.wait(lock, stop, [&] { return elapsed_ >= until; });
  return !stop.stop_requested();
}

void ManualClock::advance(Duration by) {
  {
    std::lock_guard lock(mutex_);
    elapsed_ += by;
  }
  changed_.notify_all();
}

}  // namespace frameworks
