#include "simulation/faults.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/health/incident_write.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kADay = 86'400;

bool has_open(const Snapshot& snapshot, const std::string& type) {
  const auto open = open_incidents(snapshot);
  return std::any_of(open.begin(), open.end(),
                     [&](const auto& incident) { return incident->spec().type() == type; });
}

}  // namespace

void Faults::next() {
  SimulatedAgents& agents = world_.agents();
  switch (world_.chance.pick(0, 11)) {
    case 0:
    case 1:
      return cut_power();
    case 2:
      return freeze(agents.any());
    case 3:
      return cut(agents.any());
    case 4:
      return cut_region();
    case 5:
      return lose_many();
    case 6:
      return fail_check(agents.any());
    case 7:
      return flap();
    case 8:
      agents.any().clock_off = world_.chance.happens(0.5) ? kADay : 0;
      return;
    case 9:
      return lie(agents.any());
    case 10:
      return restart();
    default:
      return maintain(agents.any());
  }
}

void Faults::cut_power() {
  SimulatedAgent& agent = world_.agents().any();
  if (!agent.powered) return power_on(agent);
  const auto& all = world_.agents().all();
  const bool is_alone =
      !world_.network().is_lossy() &&
      std::all_of(all.begin(), all.end(), [&](const auto& each) { return world_.is_well(each); });
  agent.powered = false;
  if (is_alone) expectations_.expect_down(agent);
  world_.agents().disconnect(agent);
}

void Faults::power_on(SimulatedAgent& agent) {
  agent.powered = true;
  world_.agents().disconnect(agent);
}

void Faults::freeze(SimulatedAgent& agent) {
  if (agent.frozen) return world_.agents().thaw(agent);
  agent.frozen = true;
}

void Faults::cut(SimulatedAgent& agent) {
  agent.cut = !agent.cut;
  if (agent.cut) world_.agents().disconnect(agent);
}

// Never the server's own.
void Faults::cut_region() {
  const int region = world_.chance.pick(1, World::kRegions - 1);
  SimulatedAgents& agents = world_.agents();
  if (agents.cut_regions.erase(region) > 0) return;
  agents.cut_regions.insert(region);
  for (SimulatedAgent& agent : agents.all())
    if (agent.region == region) agents.disconnect(agent);
}

void Faults::fail_check(SimulatedAgent& agent) {
  agent.failing = !agent.failing;
  if (agent.stream != 0 && agent.powered && !agent.frozen) world_.agents().report(agent);
}

void Faults::flap() {
  SimulatedAgent& agent = world_.agents().any();
  for (int i = 0; i < 8; ++i) {
    fail_check(agent);
    world_.pass(world_.chance.pick_ms(200, 2000));
  }
}

// Reports of what does not exist, and of what is not its to tell.
void Faults::lie(SimulatedAgent& agent) {
  if (agent.stream == 0 || agent.frozen || !agent.powered) return;
  for (int i = 0; i < 50; ++i) {
    const bool is_own = i % 2 == 0;
    pb::AgentMessage message;
    message.mutable_check()->set_instance(is_own ? fmt::format("x{}.{}", i, agent.name)
                                                 : "media." + world_.agents().any().name);
    message.mutable_check()->set_check(is_own ? "rtmp/tcp" : fmt::format("c{}", i));
    world_.agents().say(agent, std::move(message));
  }
}

void Faults::restart() {
  world_.server().restart();
  for (SimulatedAgent& agent : world_.agents().all()) world_.agents().disconnect(agent);
  world_.restarted = world_.now();
  // A node of which it knew that it was down may come back, and is not counted as lost.
  expectations_.expect_nothing();
}

void Faults::maintain(const SimulatedAgent& agent) {
  const auto next =
      world_.is_maintained(agent) ? pb::AVAILABILITY_ACTIVE : pb::AVAILABILITY_MAINTENANCE;
  const auto done = world_.store().write("test", [&](Transaction& transaction) -> Status {
    pb::Node node = *transaction.snapshot().find<pb::Node>(agent.name);
    node.mutable_spec()->set_availability(next);
    transaction.put(node);
    return {};
  });
  if (!done) world_.violate("maintenance: " + done.error().text());
}

// Two in five of all nodes vanish at once: for as long as nothing else happens, and the time of a
// hold is not over, none of them may be given up.
void Faults::lose_many() {
  if (world_.now() - world_.restarted < seconds(20)) return;
  // In a network that holds up messages nobody is heard to vanish at once: it rests meanwhile.
  const bool was_lossy = world_.network().is_lossy();
  world_.network().set_lossy(false);
  world_.pass(seconds(6));
  lose_many_at_rest();
  world_.network().set_lossy(was_lossy);
}

void Faults::lose_many_at_rest() {
  std::vector<SimulatedAgent*> there;
  for (SimulatedAgent& agent : world_.agents().all())
    if (world_.agents().is_linked(agent) && !agent.frozen && !world_.is_maintained(agent) &&
        world_.health(agent).state() == pb::HEALTH_HEALTHY && !world_.health(agent).flapping())
      there.push_back(&agent);
  const size_t count = world_.agents().all().size() * 2 / 5;
  if (there.size() < count + 2) return;
  std::shuffle(there.begin(), there.end(), world_.chance.generator());
  for (size_t i = 0; i < count; ++i) {
    there[i]->powered = false;
    world_.agents().disconnect(*there[i]);
  }
  world_.pass(seconds(20));
  for (size_t i = 0; i < count; ++i)
    if (world_.health(*there[i]).state() == pb::HEALTH_DOWN)
      world_.violate(fmt::format("{} of {} nodes vanished at once and {} was given up: {}", count,
                                 there.size(), there[i]->name, world_.health(*there[i]).reason()));
  if (!has_open(*world_.store().snapshot(), "mass-loss"))
    world_.violate("nodes vanished at once and there is no incident of it");
  const int stay = world_.chance.happens(0.5) ? 0 : world_.chance.pick(0, 2);
  for (auto i = static_cast<size_t>(stay); i < count; ++i) power_on(*there[i]);
  world_.pass(seconds(5));
}

void Faults::heal() {
  world_.network().set_lossy(false);
  world_.agents().cut_regions.clear();
  for (SimulatedAgent& agent : world_.agents().all()) {
    const bool was_away = !agent.powered || agent.cut;
    agent.powered = true;
    agent.cut = false;
    agent.clock_off = 0;
    if (agent.frozen) world_.agents().thaw(agent);
    if (was_away) world_.agents().disconnect(agent);
    if (agent.failing) fail_check(agent);
    if (world_.is_maintained(agent)) maintain(agent);
  }
  // What was on its way when the network was mended is late, not lost; streams that it broke are.
  world_.pass(seconds(4));
}

}  // namespace frameworks
