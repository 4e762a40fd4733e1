#include "simulation/expectations.h"

#include <fmt/format.h>

#include "frameworks/v1/service.pb.h"
#include "runtime/health/incident_write.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kDownWithin{3};

}  // namespace

void Expectations::watch() {
  digest = digest * 1099511628211ULL + static_cast<uint64_t>(world_.store().revision());
  for (const std::string& node : world_.server().take_acknowledging()) {
    const SimulatedAgent& agent = world_.agents().find(node);
    Revision& seen = acknowledged_[static_cast<size_t>(agent.index)];
    const Revision acknowledged = world_.server().acknowledged(node);
    if (acknowledged < seen) world_.violate(node + " acknowledged less than before");
    if (acknowledged > agent.applied) world_.violate(node + " acknowledged what it does not have");
    seen = acknowledged;
  }
  if (detecting_.agent < 0) return;
  const SimulatedAgent& agent = world_.agents().all()[static_cast<size_t>(detecting_.agent)];
  const pb::NodeHealth& health = world_.health(agent);
  const Duration since = world_.now() - detecting_.since;
  if (health.state() == pb::HEALTH_DOWN) {
    detections_ms.push_back(since / milliseconds(1));
    if (since > kDownWithin)
      world_.violate(
          fmt::format("{} was down only after {} ms", agent.name, since / milliseconds(1)));
    detecting_ = {};
  } else if (since > kDownWithin + seconds(1)) {
    if (!agent.powered)
      world_.violate(fmt::format("{} is without power and not down after 4 s: {}", agent.name,
                                 health.reason()));
    detecting_ = {};
  }
}

void Expectations::check_between() {
  const SnapshotPtr snapshot = world_.store().snapshot();
  for (const SimulatedAgent& agent : world_.agents().all()) {
    const auto& health = snapshot->find<pb::Node>(agent.name)->status().health();
    if (health.state() == pb::HEALTH_DOWN && !health.flapping() && agent.stream != 0 &&
        world_.agents().is_linked(agent) && !agent.frozen &&
        world_.now() - world_.restarted > seconds(20))
      ++false_alarms;
  }
  if (snapshot->count(kind_of<pb::Incident>()) > kClosedKept + 10 * world_.agents().all().size())
    world_.violate("incidents without bound");
}

std::vector<std::string> Expectations::unsettled() {
  std::vector<std::string> out;
  const SnapshotPtr snapshot = world_.store().snapshot();
  for (const SimulatedAgent& agent : world_.agents().all()) {
    const auto& health = snapshot->find<pb::Node>(agent.name)->status().health();
    if (health.state() != pb::HEALTH_HEALTHY || health.flapping() || health.partitioned() ||
        health.held() || health.agent_silent() || health.clock_off())
      out.push_back(fmt::format("{} is not healthy at the end: {}", agent.name, health.reason()));
    if (!world_.server().converged(agent.name))
      out.push_back(agent.name + " does not have its plan at the end");
  }
  size_t instances = 0;
  snapshot->scan(kind_of<pb::Instance>(), [&](const Resource& resource) {
    ++instances;
    const pb::InstanceStatus& status = resource.as<pb::Instance>().status();
    if (status.state() != pb::HEALTH_HEALTHY || status.flapping())
      out.push_back(
          fmt::format("{} is not healthy at the end: {}", resource.name(), status.reason()));
    return true;
  });
  if (instances != world_.agents().all().size()) out.emplace_back("instances are missing");
  for (const auto& incident : open_incidents(*snapshot))
    out.push_back(
        fmt::format("{} is still open: {}", incident->metadata().name(), incident->spec().cause()));
  if (world_.server().counts().held != 0) out.emplace_back("nodes are still held at the end");
  return out;
}

}  // namespace frameworks
