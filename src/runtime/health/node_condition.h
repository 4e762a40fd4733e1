// Whether a node that answers is as it should be: what of its machine is used up, and whether its
// clock is right. Pure.
//
// One measurement says nothing: three in a row lead in, five in a row lead out, and between the
// limit for the one and that for the other nothing changes.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/clock.h"
#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/node.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

class NodeCondition {
 public:
  // From which share on something is used up, and below which it no longer is.
  struct Limit {
    const char* name;
    double enter;
    double leave;
  };
  static constexpr std::array<Limit, 4> kLimits{{{"cpu", 0.95, 0.85},
                                                 {"memory", 0.95, 0.90},
                                                 {"disk", 0.95, 0.92},
                                                 {"bandwidth", 0.90, 0.80}}};
  // A clock that is further off is wrong; it is right again within half of it.
  static constexpr std::chrono::seconds kClockTolerance{30};

  // Takes a heartbeat that came at `now`; `bandwidth_mbps` of the machine, 0: not known. True when
  // there is something to tell. Values that are no shares (absent, negative, not a number) say
  // nothing.
  bool take(const pb::Heartbeat& heartbeat, double bandwidth_mbps, WallTime now);

  // What was told of the node before this observer began.
  void restore(const pb::NodeHealth& health);
  // Names of what is used up, in the order of kLimits.
  [[nodiscard]] std::vector<std::string> saturated() const;
  // "cpu at 97 %, clock 86400 s ahead"; empty: all is well.
  [[nodiscard]] std::string complaint() const;
  [[nodiscard]] bool has_wrong_clock() const { return clock_.is_on; }

 private:
  // Turns on after so many in a row, off likewise.
  struct Switch {
    bool is_on = false;
    int in_a_row = 0;
    bool count(bool enters, bool leaves);
  };
  std::array<Switch, kLimits.size()> used_;
  std::array<int, kLimits.size()> percent_{};  // when it was told last
  Switch clock_;
  int64_t seconds_ahead_ = 0;
};

}  // namespace frameworks
