// Time enters through Clock, so that tests own it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace frameworks {

using WallTime = std::chrono::system_clock::time_point;
using MonoTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual MonoTime mono() const = 0;
  // Returns early, with false, when `stop` was requested.
  virtual bool sleep_for(Duration duration, std::stop_token stop) = 0;
};

// The machine's clock; threadsafe.
Clock& system_clock();

// Stands still until told; threadsafe. Sleepers wake when time has been advanced far enough.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime{std::chrono::seconds{1'700'000'000}})
      : start_(start) {}
  WallTime wall() const override;
  MonoTime mono() const override;
  bool sleep_for(Duration duration, std::stop_token stop) override;
  void advance(Duration by);

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  WallTime start_;
  Duration elapsed_{0};
};

}  // namespace frameworks
