#include "simulation/world.h"

#include <fmt/format.h>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/orchestration/placement_plan.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStep{50};
// The server's health is looked at every fifth of a heartbeat's interval.
constexpr int kServerEvery = 4;
constexpr size_t kViolations = 10;

}  // namespace

World::World(uint64_t seed, int agents)
    : chance(seed),
      now_(clock_.mono()),
      store_(std::make_unique<SteppedStore>(clock_, [](Transaction& transaction) -> Status {
        return plan_instances(transaction, transaction.changed());
      })) {
  const double loss = chance.happens(0.7) ? 0.01 * chance.pick(1, 10) : 0;
  network_ = std::make_unique<Network>(chance, static_cast<size_t>(agents), now_, kStep, loss);
  agents_ = std::make_unique<SimulatedAgents>(
      chance, clock_, kStep, agents, kRegions, *network_,
      [this](const std::string& node) { return server_->open(node); });
  make_fleet();
  server_ = std::make_unique<SimulatedServer>(
      *store_, clock_, [this](const std::string& node, uint64_t stream, pb::ServerMessage message) {
        network_->post({agents_->find(node).index, stream,
                        std::make_shared<const pb::ServerMessage>(std::move(message))});
      });
}

void World::make_fleet() {
  const auto made = store_->write("test", [&](Transaction& transaction) -> Status {
    for (int region = 0; region < kRegions; ++region) {
      pb::Cluster cluster;
      cluster.mutable_metadata()->set_name(fmt::format("c{}", region));
      cluster.mutable_spec()->set_region(fmt::format("r{}", region));
      cluster.mutable_spec()->set_tier(pb::TIER_EDGE);
      transaction.put(cluster);
    }
    pb::Service service;
    service.mutable_metadata()->set_name("media");
    service.mutable_spec()->mutable_placement()->add_tiers(pb::TIER_EDGE);
    auto& port = *service.mutable_spec()->add_ports();
    port.set_name("rtmp");
    port.set_port(1935);
    port.set_exposure(pb::EXPOSURE_PUBLIC);
    service.mutable_spec()->add_checks()->set_port("rtmp");
    transaction.put(service);
    for (const SimulatedAgent& agent : agents_->all()) {
      pb::Node node;
      node.mutable_metadata()->set_name(agent.name);
      node.mutable_spec()->set_cluster(fmt::format("c{}", agent.region));
      node.mutable_spec()->set_address(
          fmt::format("10.0.{}.{}", agent.index / 250, agent.index % 250 + 1));
      node.mutable_status()->mutable_agent()->mutable_join_time()->set_seconds(1);
      node.mutable_status()->mutable_configuration()->set_version("1");
      transaction.put(node);
    }
    return {};
  });
  if (!made) violate("the fleet is not taken: " + made.error().text());
}

void World::pass(Duration time) {
  for (const MonoTime end = now_ + time; now_ < end;) {
    clock_.advance(kStep);
    now_ = clock_.mono();
    network_->step(
        now_, [this](NetworkMessage message) { deliver(std::move(message)); },
        [this](int index, uint64_t stream) {
          SimulatedAgent& agent = agents_->all()[static_cast<size_t>(index)];
          if (agent.stream == stream) agents_->disconnect(agent);
        });
    agents_->step();
    store_->settle();
    if (++steps_ % kServerEvery != 0) continue;
    server_->step();
    after_server();
  }
}

void World::deliver(NetworkMessage message) {
  const SimulatedAgent& agent = agents_->all()[static_cast<size_t>(message.agent)];
  if (!agents_->is_linked(agent)) return;
  if (const auto* beat = std::get_if<Beat>(&message.content))
    return server_->heartbeat(agent.name, message.stream, *beat);
  if (!message.is_up()) return agents_->take(std::move(message));
  server_->receive(agent.name, message.stream, *std::get<FromAgent>(message.content));
}

const pb::Node& World::node(const SimulatedAgent& agent) const {
  seen_ = store_->snapshot();
  return *seen_->find<pb::Node>(agent.name);
}

bool World::is_maintained(const SimulatedAgent& agent) const {
  return node(agent).spec().availability() == pb::AVAILABILITY_MAINTENANCE;
}

bool World::is_well(const SimulatedAgent& agent) const {
  return agents_->is_linked(agent) && !agent.frozen && agent.stream != 0 &&
         health(agent).state() == pb::HEALTH_HEALTHY && !is_maintained(agent);
}

void World::violate(const std::string& what) {
  if (violations_.size() < kViolations)
    violations_.push_back(
        fmt::format("at {} ms: {}", now_.time_since_epoch() / milliseconds(1), what));
}

}  // namespace frameworks
