// Brings the incidents of the store to what is wanted: opens, keeps the timeline, closes, forgets.
#pragma once

#include "runtime/health/incident_plan.h"
#include "store/store.h"

namespace frameworks {

// Lines of a timeline that are kept, the newest.
inline constexpr int kTimelineLines = 200;
// Objects that are listed in an incident.
inline constexpr size_t kIncidentObjects = 1000;
// Closed incidents that are kept, the newest.
inline constexpr size_t kClosedKept = 500;

std::vector<std::shared_ptr<const pb::Incident>> open_incidents(const Snapshot& snapshot);

// Nothing is written where nothing differs.
void write_incidents(Transaction& transaction, const WantedIncidents& wanted);

}  // namespace frameworks
