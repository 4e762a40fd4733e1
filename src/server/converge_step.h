// The step "converge" of an apply: waits until every node has joined, works, and has its plan.
#pragma once

#include <chrono>
#include <string>

#include "control/operations.h"
#include "frameworks/v1/node.pb.h"
#include "runtime/sessions/sessions.h"

namespace frameworks {

struct ConvergeStep {
  const Sessions& sessions;
  std::chrono::seconds timeout{180};

  // kDeadlineExceeded names whom it waited for, and why. Nodes whose machine was switched off on
  // purpose are not waited for, nor those that came since: the next operation configures them.
  Status run(OperationContext& context) const;
};

// Why this node (with its instances) is not yet as it shall be; empty: it is. `sent` tells whether
// it has acknowledged its newest plan.
std::string why_not_converged(const Snapshot& snapshot, const pb::Node& node, bool sent);

}  // namespace frameworks
