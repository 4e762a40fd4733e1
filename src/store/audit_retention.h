// Cuts off what of the audit log is older than it shall be kept.
#pragma once

#include "base/clock.h"
#include "store/log.h"

namespace frameworks {

class AuditRetention {
 public:
  // `keep` zero: for ever.
  AuditRetention(Log& log, Clock& clock, Duration keep) : log_(log), clock_(clock), keep_(keep) {}

  // Cheap until the oldest entry is due. Never cuts off the entries of `newest` and after.
  Status run(Revision newest);

 private:
  Log& log_;
  Clock& clock_;
  const Duration keep_;
  // Nothing is due before.
  WallTime due_{};
};

}  // namespace frameworks
