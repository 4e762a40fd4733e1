// The seam through which sessions learn what nodes shall be; the server composes it from the
// layers.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "frameworks/v1/agent.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/snapshot.h"
#include "store/log.h"

namespace frameworks {

class PlanSource {
 public:
  virtual ~PlanSource() = default;
  // Names of all sections, in the order of PlanUpdate.
  [[nodiscard]] virtual std::vector<std::string> sections() const = 0;
  // The node's whole plan with the hash of every section. Pure and deterministic; threadsafe.
  [[nodiscard]] virtual pb::PlanUpdate plan(const Snapshot& snapshot,
                                            const pb::Node& node) const = 0;
  // Names of the nodes whose plan may differ because of these changes. Threadsafe.
  [[nodiscard]] virtual std::set<std::string> affected(const Snapshot& after,
                                                       std::span<const Change> changes) const = 0;
};

}  // namespace frameworks
