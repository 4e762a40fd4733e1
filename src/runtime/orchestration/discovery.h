// Where a service is reached: its instances that work, nearest first. Pure.
#pragma once

#include "frameworks/v1/orchestration_api.pb.h"
#include "model/snapshot.h"

namespace frameworks {

// kNotFound where the service or the cluster does not exist.
Result<pb::DiscoverResponse> discover(const Snapshot& snapshot, const pb::DiscoverRequest& request);

// Between two points on the earth, in kilometres (haversine formula, mean radius 6371 km).
double distance_km(const pb::Location& a, const pb::Location& b);

}  // namespace frameworks
