// How many of the fleet's nodes rollouts may change at once.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace frameworks {

// A share of the nodes or a number of them, where both are given the larger of the two. A batch
// that is larger still waits until no other is changed.
struct DisruptionBudget {
  int percent = 10;  // 0: no share
  int nodes = 10;    // 0: no number

  // "10%", "25", or "10%,25"; what is not given is 0.
  static Result<DisruptionBudget> parse(std::string_view text);
  // What parse() takes.
  [[nodiscard]] std::string text() const;
  // Of a fleet of so many nodes.
  [[nodiscard]] int most_of(int fleet) const;
};

}  // namespace frameworks
