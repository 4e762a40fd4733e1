// Whether work may go to a node.
#pragma once

#include "frameworks/v1/node.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

// Names the rollout that drains a node for the time of a change; absent: somebody asked for it.
inline constexpr const char* kDrainedBy = "frameworks/drained-by";

// False: drained, or in maintenance. New work goes elsewhere.
inline bool takes_work(const pb::Node& node) {
  return node.spec().availability() != pb::AVAILABILITY_DRAINED &&
         node.spec().availability() != pb::AVAILABILITY_MAINTENANCE;
}

// Whether counted instances may be on the node. A rollout's drain is short, and what it changes
// must still be there to be changed.
inline bool keeps_instances(const pb::Node& node) {
  return takes_work(node) || node.metadata().annotations().contains(kDrainedBy);
}

}  // namespace frameworks
