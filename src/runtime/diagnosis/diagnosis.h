// What is in the way of a node, service, instance, tenant or cluster. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frameworks/v1/diagnosis_api.pb.h"
#include "runtime/access/visibility.h"

namespace frameworks {

// A part of its plan that a node does not have yet.
struct PlanWait {
  std::string plane;    // "mesh", "firewall", ...
  std::string why;      // e.g. "was sent it and has not answered yet"
  bool failed = false;  // the node answered that it could not be applied
};
// By node.
using PlanWaits = std::map<std::string, std::vector<PlanWait>, std::less<>>;

// Walks over what `view` shows. kInvalidArgument for a kind that has no walk; kNotFound where there
// is no such thing, or none that is seen.
Result<pb::WhyResponse> diagnose(const Visibility& view, const PlanWaits& waits,
                                 const std::string& kind, const std::string& name);

}  // namespace frameworks
