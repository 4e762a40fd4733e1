// How often something may happen: the generic cell rate algorithm (ITU-T I.371), one number each.
//
// Threadsafe, without locks. Times are of a monotonic clock.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

#include "base/clock.h"

namespace frameworks {

// Lets through `rate` a second, and after a pause as many at once.
class RateLimit {
 public:
  // False: too early. A rate of 0 has no limit.
  bool allow(MonoTime now, int64_t rate, int64_t burst) {
    if (rate <= 0) return true;
    constexpr int64_t kSecond = 1'000'000'000;
    const int64_t interval = std::max<int64_t>(1, kSecond / rate);
    const int64_t at = now.time_since_epoch().count();
    int64_t due = due_.load(std::memory_order_relaxed);
    while (true) {
      // What is due lies in the past after a pause; in the future by what was let through at once.
      const int64_t next = std::max(due, at) + interval;
      if (next - at > interval * burst) return false;
      if (due_.compare_exchange_weak(due, next, std::memory_order_relaxed)) return true;
    }
  }
  bool allow(MonoTime now, int64_t rate) { return allow(now, rate, rate); }

 private:
  std::atomic<int64_t> due_{INT64_MIN / 2};
};

// Limits by address, in memory that does not grow: addresses that fall on one place share it.
class AddressLimits {
 public:
  AddressLimits(int64_t rate, int64_t burst) : rate_(rate), burst_(burst) {}

  bool allow(std::string_view address, MonoTime now) {
    return limits_[place(address)].allow(now, rate_, burst_);
  }

 private:
  static constexpr size_t kPlaces = 4096;

  // A caller that has an IPv6 prefix has 2^64 addresses: the prefix counts. Which addresses share a
  // place is different at each start, so that nobody can choose whom to lock out.
  [[nodiscard]] size_t place(std::string_view address) const {
    if (const size_t colon = nth_colon(address, 4); colon != std::string_view::npos)
      address = address.substr(0, colon);
    return (std::hash<std::string_view>{}(address) ^ reinterpret_cast<uintptr_t>(this) >> 4) *
               0x9e3779b97f4a7c15ULL >>
           52;
  }
  static size_t nth_colon(std::string_view text, int count) {
    size_t at = 0;
    for (; (at = text.find(':', at)) != std::string_view::npos; ++at)
      if (--count == 0) return at;
    return at;
  }

  const int64_t rate_;
  const int64_t burst_;
  std::array<RateLimit, kPlaces> limits_;
};

}  // namespace frameworks
