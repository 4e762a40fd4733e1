// Rules of rollouts and drains that more than one kind has.
#pragma once

#include <string>

#include "frameworks/v1/service.pb.h"
#include "model/kind.h"

namespace frameworks {

// Times are from nothing to a week.
void check_rollout_strategy(const pb::RolloutStrategy& strategy, const std::string& field,
                            Validation& out);

// Names a tcp port of the service, or none, and then no path.
void check_drain_check(const pb::ServiceSpec& spec, Validation& out);

}  // namespace frameworks
