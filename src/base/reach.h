// Whether a machine is there: looked for by TCP, several at once, without blocking the caller.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"

namespace frameworks {

struct Reach {
  bool reachable = false;
  // "10.99.4.2:22 accepts connections", "nothing answers at 10.99.4.2:22".
  std::string how;
};

// One thread for all. Threadsafe.
class ReachDesk {
 public:
  static std::unique_ptr<ReachDesk> start(Clock& clock);
  virtual ~ReachDesk() = default;  // stops and joins; what is under way is not told

  using Done = std::function<void(const Reach&)>;
  // Looks at every "address:port" at once; the first that answers decides. A refused connection is
  // an answer of the machine too. `done` is called once, on the desk's thread, after `timeout` at
  // the latest, and must not block. At most 8 targets are looked at, and when more than 256 looks
  // are under way, or there is no target that is one, the answer is that nothing was reached.
  virtual void look(const std::vector<std::string>& targets, Duration timeout, Done done) = 0;
};

}  // namespace frameworks
