// The seam through which sessions learn what nodes shall be; the server composes it from the
// layers.
#pragma once

#include <memory>
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
  // Plans of the nodes of one snapshot, which must outlive it: what they have in common is worked
  // out once. Pure and deterministic. For one thread.
  class Planner {
   public:
    virtual ~Planner() = default;
    // The node's whole plan with the hash of every section.
    virtual pb::PlanUpdate plan(const pb::Node& node) = 0;
  };
  [[nodiscard]] virtual std::unique_ptr<Planner> planner(const Snapshot& snapshot) const = 0;
  // Names of the nodes whose plan may differ because of these changes. Threadsafe.
  [[nodiscard]] virtual std::set<std::string> affected(const Snapshot& after,
                                                       std::span<const Change> changes) const = 0;
};

}  // namespace frameworks
