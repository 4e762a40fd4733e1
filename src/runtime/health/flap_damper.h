// Tells whether something changes so often that it should be held back until it is calm. Pure.
//
// Every fall adds to a penalty that halves by itself each half-life (RFC 2439 does the same with
// routes). Restarts forget it.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/clock.h"

namespace frameworks {

class FlapDamper {
 public:
  struct Limits {
    Duration half_life = std::chrono::seconds(60);
    // Flapping from this penalty on...
    double begin = 3;
    // ...until it is below this one.
    double end = 1;
    // No penalty counts for more, so that calm of at most three half-lives is enough.
    double most = 6;
  };

  void fall(MonoTime now, double weight, const Limits& limits) {
    penalty_ = std::min(limits.most, at(now, limits) + weight);
    since_ = now;
    flapping_ |= penalty_ >= limits.begin;
  }
  // Whether it is flapping as of now.
  bool flapping(MonoTime now, const Limits& limits) {
    flapping_ = flapping_ && at(now, limits) >= limits.end;
    return flapping_;
  }

 private:
  [[nodiscard]] double at(MonoTime now, const Limits& limits) const {
    if (penalty_ == 0) return 0;
    const auto age = static_cast<double>((now - since_).count());
    return penalty_ * std::exp2(-age / static_cast<double>(limits.half_life.count()));
  }

  double penalty_ = 0;
  MonoTime since_{};
  bool flapping_ = false;
};

}  // namespace frameworks
