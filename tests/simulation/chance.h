// All chance of a schedule, from its seed.
#pragma once

#include <cstdint>
#include <random>

#include "base/clock.h"

namespace frameworks {

class Chance {
 public:
  explicit Chance(uint64_t seed) : random_(seed) {}

  // Both ends included.
  int pick(int from, int to) {
    return from + static_cast<int>(random_() % static_cast<uint64_t>(to - from + 1));
  }
  Duration pick_ms(int from, int to) { return std::chrono::milliseconds(pick(from, to)); }
  bool happens(double share) { return static_cast<double>(random_() >> 11) * 0x1p-53 < share; }
  std::mt19937_64& generator() { return random_; }

 private:
  std::mt19937_64 random_;
};

}  // namespace frameworks
