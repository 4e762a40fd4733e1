// The steps of a diagnosis as they are found, and the walks over the kinds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "runtime/diagnosis/diagnosis.h"

namespace frameworks {

class Walk {
 public:
  enum class Layer { kMachine, kConfig, kRuntime };
  // So many objects of a sort are named, the rest are counted.
  static constexpr int kNamed = 20;

  Walk(const Visibility& view, const PlanWaits& waits) : view_(view), waits_(waits) {}

  [[nodiscard]] const Snapshot& snapshot() const { return view_.snapshot(); }
  [[nodiscard]] const Visibility& view() const { return view_; }
  [[nodiscard]] const std::vector<PlanWait>& waits_of(std::string_view node) const;

  // A step about an object that the caller does not see is not noted.
  void add(Layer layer, const ResourceKey& object, pb::Finding finding, std::string message,
           std::string next_step = {});
  void ok(Layer layer, const ResourceKey& object, std::string message) {
    add(layer, object, pb::FINDING_OK, std::move(message));
  }
  // An empty walk over the same fleet.
  [[nodiscard]] Walk fork() const { return {view_, waits_}; }
  // What another walk came to: its first step that is not well, if there is one.
  bool add_first_of(const Walk& other);

  // In the order of the layers, with the first that is not well.
  [[nodiscard]] pb::WhyResponse response() const;

 private:
  const Visibility& view_;
  const PlanWaits& waits_;
  std::vector<std::pair<Layer, pb::WhyStep>> steps_;
};

enum class Instances { kTold, kLeftOut };
void walk_node(const pb::Node& node, Instances instances, Walk& walk);
void walk_cluster(const pb::Cluster& cluster, Walk& walk);
void walk_service(const pb::Service& service, Walk& walk);
void walk_instance(const pb::Instance& instance, Walk& walk);
void walk_tenant(const pb::Tenant& tenant, Walk& walk);

// One step for an instance that is not healthy; false when it is.
bool add_instance(const pb::Instance& instance, Walk& walk);
// Incidents that are open and name the object.
void add_incidents(const ResourceKey& object, Walk& walk);
// Rollouts of a service that are under way, or how the last one failed.
void add_rollouts(const std::string& service, Walk& walk);
// What the service depends on and none of whose instances works.
void add_dependencies(const pb::Service& service, Walk& walk);

}  // namespace frameworks
