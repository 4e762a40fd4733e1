// A node's whole plan, composed from the layers: the one place that knows which sections there are.
#pragma once

#include "config/mesh/mesh_planner.h"
#include "runtime/sessions/plan_source.h"

namespace frameworks {

class NodePlans final : public PlanSource {
 public:
  [[nodiscard]] std::vector<std::string> sections() const override;
  [[nodiscard]] std::unique_ptr<Planner> planner(const Snapshot& snapshot) const override;
  [[nodiscard]] Affected affected(const Snapshot& after,
                                  std::span<const Change> changes) const override;

 private:
  mutable KnownPeers peers_;
};

}  // namespace frameworks
