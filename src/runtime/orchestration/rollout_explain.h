// A rollout's plan, before it begins. Pure.
#pragma once

#include "frameworks/v1/fleet_api.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// A step for each batch, in order; the nodes, clusters and tenants that it reaches in all.
pb::Plan explain_rollout(const Snapshot& snapshot, const pb::Rollout& rollout);

}  // namespace frameworks
