// What happens to a fleet: one fault after the other, and the end of all of them.
#pragma once

#include "simulation/expectations.h"

namespace frameworks {

class Faults {
 public:
  Faults(World& world, Expectations& expectations) : world_(world), expectations_(expectations) {}

  // One at random; the opposite of an earlier one as likely as not. May take some time.
  void next();
  // Everything works again, and the network is calm.
  void heal();
  // Of a node, or back on. In a calm network in which all is well it must be found down in time.
  void cut_power();

 private:
  void power_on(SimulatedAgent& agent);
  void freeze(SimulatedAgent& agent);
  void cut(SimulatedAgent& agent);
  void cut_region();
  void lose_many();
  void lose_many_at_rest();
  void fail_check(SimulatedAgent& agent);
  void flap();
  void lie(SimulatedAgent& agent);
  void restart();
  void maintain(const SimulatedAgent& agent);

  World& world_;
  Expectations& expectations_;
};

}  // namespace frameworks
