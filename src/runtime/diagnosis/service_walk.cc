// Services: where they are placed, what they need, and whether they work.
#include <fmt/format.h>

#include "frameworks/v1/service.pb.h"
#include "model/words.h"
#include "runtime/diagnosis/walk.h"
#include "runtime/orchestration/counted.h"
#include "runtime/orchestration/obstacle.h"

namespace frameworks {
namespace {

using Layer = Walk::Layer;
using InstancePtr = std::shared_ptr<const pb::Instance>;

bool works(const pb::Instance& instance) {
  return instance.status().state() == pb::HEALTH_HEALTHY ||
         instance.status().state() == pb::HEALTH_DEGRADED;
}

// Nodes that its selectors name and that have no room for it, with why.
std::string no_room(const Snapshot& snapshot, const pb::Service& service) {
  std::string out;
  int more = 0;
  int named = 0;
  for (const auto& node : snapshot.list<pb::Node>()) {
    const std::string& name = node->metadata().name();
    if (snapshot.find<pb::Instance>(service.metadata().name() + "." + name) != nullptr ||
        selector_obstacle(snapshot, service, *node))
      continue;
    const auto obstacle = room_obstacle(snapshot, service, *node);
    if (!obstacle) continue;
    if (named++ < Walk::kNamed)
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, obstacle->message);
    else
      ++more;
  }
  if (more > 0) out += fmt::format(" and {} more", more);
  return out;
}

void add_placement(const pb::Service& service, const std::vector<InstancePtr>& instances,
                   Walk& walk) {
  const Snapshot& snapshot = walk.snapshot();
  const ResourceKey key{"Service", "", service.metadata().name()};
  const std::string next =
      "change spec.placement or give it room; frameworks plan -f DIRECTORY "
      "explains every choice";
  const bool counted = is_counted(service.spec().placement());
  const pb::ServiceStatus& status = service.status();
  std::string why;
  if (instances.empty() || (counted && status.placed() < status.wanted()))
    why = why_not_more(snapshot, service);
  if (instances.empty())
    return walk.add(Layer::kRuntime, key, pb::FINDING_WRONG,
                    "runs nowhere: " + (why.empty() ? "there are no nodes" : why), next);
  if (counted && status.placed() < status.wanted())
    return walk.add(Layer::kRuntime, key, pb::FINDING_WARNING,
                    fmt::format("{} of {} placed: {}", status.placed(), status.wanted(),
                                why.empty() ? "there are no more nodes" : why),
                    next);
  if (const std::string lack = counted ? "" : no_room(snapshot, service); !lack.empty())
    return walk.add(Layer::kRuntime, key, pb::FINDING_WARNING, "has no room: " + lack, next);
  walk.ok(Layer::kRuntime, key, fmt::format("is placed on {} nodes", instances.size()));
}

// What keeps its nodes from being configured keeps the service from being installed.
void add_configuration(const std::vector<InstancePtr>& instances, Walk& walk) {
  int bad = 0;
  for (const auto& instance : instances) {
    const auto* node = walk.snapshot().find<pb::Node>(instance->spec().node());
    if (node == nullptr || node->status().configuration().error().empty()) continue;
    walk.add(Layer::kConfig, {"Node", "", node->metadata().name()}, pb::FINDING_WRONG,
             "cannot be configured: " + node->status().configuration().error(),
             "frameworks why node/" + node->metadata().name());
    if (++bad == Walk::kNamed) return;
  }
}

void add_instances(const pb::Service& service, const std::vector<InstancePtr>& instances,
                   Walk& walk) {
  int bad = 0;
  for (const auto& instance : instances)
    if (add_instance(*instance, walk) && ++bad == Walk::kNamed) return;
  if (bad == 0 && !instances.empty())
    walk.ok(Layer::kRuntime, {"Service", "", service.metadata().name()},
            fmt::format("all of its {} instances are healthy", instances.size()));
}

}  // namespace

void add_dependencies(const pb::Service& service, Walk& walk) {
  for (const std::string& name : service.spec().depends_on()) {
    const auto instances = walk.snapshot().find_by<pb::Instance>("service", name);
    int good = 0;
    for (const auto& instance : instances) good += works(*instance) ? 1 : 0;
    const ResourceKey key{"Service", "", name};
    const std::string& own = service.metadata().name();
    if (good > 0)
      walk.ok(
          Layer::kRuntime, key,
          fmt::format("{} depends on it: {} of {} instances work", own, good, instances.size()));
    else
      walk.add(Layer::kRuntime, key, pb::FINDING_WRONG,
               fmt::format("{} depends on it, and {}", own,
                           instances.empty()
                               ? "it runs nowhere"
                               : fmt::format("none of its {} instances works", instances.size())),
               "frameworks why service/" + name);
  }
}

void walk_service(const pb::Service& service, Walk& walk) {
  const std::string& name = service.metadata().name();
  const auto instances = walk.snapshot().find_by<pb::Instance>("service", name);
  add_configuration(instances, walk);
  add_placement(service, instances, walk);
  add_dependencies(service, walk);
  add_instances(service, instances, walk);
  add_rollouts(name, walk);
  add_incidents({"Service", "", name}, walk);
}

}  // namespace frameworks
