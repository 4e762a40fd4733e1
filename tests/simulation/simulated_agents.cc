#include "simulation/simulated_agents.h"

#include <fmt/format.h>

#include <algorithm>

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// An agent that does not reach its server tries again.
constexpr milliseconds kTryAgain{200};

}  // namespace

SimulatedAgents::SimulatedAgents(Chance& chance, ManualClock& clock, Duration step, int count,
                                 int regions, Network& network, Open open)
    : chance_(chance),
      clock_(clock),
      network_(network),
      open_(std::move(open)),
      now_(clock.mono()),
      waking_(now_, step),
      agents_(static_cast<size_t>(count)) {
  for (int i = 0; i < count; ++i) {
    SimulatedAgent& agent = agents_[static_cast<size_t>(i)];
    agent.index = i;
    agent.name = fmt::format("n{:04}", i);
    agent.region = i % regions;
    by_name_[agent.name] = i;
    agent.reconnect_at = now_ + chance_.pick_ms(0, 2000);
    wake(agent, agent.reconnect_at);
  }
}

void SimulatedAgents::wake(SimulatedAgent& agent, MonoTime at) {
  if (agent.wakes_at <= at) return;
  agent.wakes_at = at;
  waking_.add(at, {agent.index, at});
}

void SimulatedAgents::step() {
  now_ = clock_.mono();
  for (const Waking& waking : waking_.next()) {
    SimulatedAgent& agent = agents_[static_cast<size_t>(waking.agent)];
    // It was told to wake earlier, and did.
    if (agent.wakes_at != waking.at) continue;
    agent.wakes_at = MonoTime::max();
    live(agent);
  }
}

void SimulatedAgents::live(SimulatedAgent& agent) {
  if (!agent.powered || agent.frozen) return;
  for (; !agent.unread.empty(); agent.unread.pop_front())
    if (agent.unread.front().stream == agent.stream)
      read(agent, *std::get<FromServer>(agent.unread.front().content));
  if (agent.stream == 0) {
    if (now_ < agent.reconnect_at) return wake(agent, agent.reconnect_at);
    if (!is_linked(agent)) return wake(agent, now_ + kTryAgain);
    connect(agent);
  } else if (now_ >= agent.next_beat) {
    agent.next_beat = now_ + agent.interval;
    const Beat beat{++agent.sequence,
                    clock_.wall().time_since_epoch() / seconds(1) + agent.clock_off};
    network_.post({agent.index, agent.stream, beat});
  }
  wake(agent, agent.next_beat);
}

void SimulatedAgents::connect(SimulatedAgent& agent) {
  agent.stream = open_(agent.name);
  pb::AgentMessage hello;
  hello.mutable_hello()->set_version("simulated");
  if (!agent.hash.empty())
    (*hello.mutable_hello()->mutable_section_hashes())["checks"] = agent.hash;
  say(agent, std::move(hello));
  report(agent);
  agent.next_beat = now_;
}

void SimulatedAgents::disconnect(SimulatedAgent& agent) {
  agent.stream = 0;
  network_.forget(agent.index);
  agent.reconnect_at = clock_.mono() + chance_.pick_ms(200, 3000);
  wake(agent, agent.reconnect_at);
}

void SimulatedAgents::thaw(SimulatedAgent& agent) {
  agent.frozen = false;
  wake(agent, clock_.mono());
}

void SimulatedAgents::say(SimulatedAgent& agent, pb::AgentMessage message) {
  network_.post(
      {agent.index, agent.stream, std::make_shared<const pb::AgentMessage>(std::move(message))});
}

void SimulatedAgents::take(NetworkMessage message) {
  SimulatedAgent& agent = agents_[static_cast<size_t>(message.agent)];
  if (agent.stream != message.stream) return;
  // It waits in the machine's buffers, before all that comes after it.
  if (agent.frozen) return agent.unread.push_back(std::move(message));
  read(agent, *std::get<FromServer>(message.content));
}

void SimulatedAgents::read(SimulatedAgent& agent, const pb::ServerMessage& message) {
  const auto set = [&](const pb::Welcome& welcome) {
    agent.interval = seconds(welcome.heartbeat_interval().seconds());
    agent.next_beat = std::min(agent.next_beat, clock_.mono() + agent.interval);
    wake(agent, agent.next_beat);
  };
  if (message.has_welcome()) set(message.welcome());
  if (message.has_settings()) set(message.settings());
  if (message.has_plan()) apply(agent, message.plan());
  if (message.has_probe()) probe(agent, message.probe());
}

void SimulatedAgents::apply(SimulatedAgent& agent, const pb::PlanUpdate& plan) {
  // A late plan is not put in the place of a newer one.
  if (plan.revision() < agent.applied) return;
  agent.applied = plan.revision();
  agent.hash = plan.section_hashes().at("checks");
  agent.checks = plan.checks();
  pb::AgentMessage ack;
  ack.mutable_ack()->set_revision(plan.revision());
  ack.mutable_ack()->add_applied("checks");
  say(agent, std::move(ack));
  report(agent);
}

void SimulatedAgents::report(SimulatedAgent& agent) {
  for (const auto& instance : agent.checks.instances())
    for (const auto& probe : instance.probes()) {
      pb::AgentMessage message;
      message.mutable_check()->set_instance(instance.instance());
      message.mutable_check()->set_check(probe.name());
      message.mutable_check()->set_healthy(!agent.failing);
      message.mutable_check()->set_reason(agent.failing ? "connection refused" : "accepts");
      say(agent, std::move(message));
    }
}

bool SimulatedAgents::reaches(const SimulatedAgent& a, const SimulatedAgent& b) const {
  if (!a.powered || !b.powered) return false;
  return a.region == b.region ||
         (!cut_regions.contains(a.region) && !cut_regions.contains(b.region));
}

void SimulatedAgents::probe(SimulatedAgent& agent, const pb::ProbePeer& probe) {
  const bool reachable = reaches(agent, find(probe.node()));
  pb::AgentMessage message;
  message.mutable_probed()->set_node(probe.node());
  message.mutable_probed()->set_id(probe.id());
  message.mutable_probed()->set_reachable(reachable);
  message.mutable_probed()->set_message(reachable ? "accepts connections" : "nothing answers");
  say(agent, std::move(message));
}

}  // namespace frameworks
