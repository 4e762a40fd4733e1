#include "simulation/simulated_server.h"

#include <set>

#include "runtime/health/checks_plan.h"

namespace frameworks {

SimulatedServer::SimulatedServer(SteppedStore& store, Clock& clock, Send send)
    : store_(store), clock_(clock), send_(std::move(send)) {
  restart();
}

void SimulatedServer::restart() {
  monitor_ = nullptr;
  keeper_ = nullptr;
  streams_.clear();
  plans_.clear();
  pace_ = HeartbeatPace(std::chrono::seconds(1));
  subscription_ = std::move(*store_.subscribe(store_.snapshot()->revision(), [] {}));
  HealthMonitor::Options options;
  options.has_thread = false;
  options.ask = [this](const std::string& peer, const pb::ProbePeer& probe) {
    const auto at = streams_.find(peer);
    if (at == streams_.end()) return false;
    pb::ServerMessage message;
    *message.mutable_probe() = probe;
    const bool taken = at->second.session.push(std::move(message));
    flush(peer, at->second);
    return taken;
  };
  monitor_ = std::move(*HealthMonitor::start(store_, clock_, std::move(options)));
  keeper_ = std::move(*IncidentKeeper::start(store_, clock_, {.has_thread = false}));
}

uint64_t SimulatedServer::open(const std::string& node) {
  Stream& stream = streams_[node];
  stream = Stream();
  stream.id = ++opened_;
  return stream.id;
}

void SimulatedServer::receive(const std::string& node, uint64_t id,
                              const pb::AgentMessage& message) {
  const auto at = streams_.find(node);
  if (at == streams_.end() || at->second.id != id) return;
  Stream& stream = at->second;
  if (!stream.session.greeted() && !message.has_hello()) return;
  monitor_->heartbeat(node);
  if (message.has_hello()) {
    // Told twice it is the same hello.
    stream.session.hello(message.hello(), pace_.interval());
    monitor_->expect(node, pace_.interval());
    plans_[node] = plan_of(node);
    const auto has = message.hello().section_hashes().find("checks");
    if (has != message.hello().section_hashes().end()) stream.acknowledged = has->second;
  } else if (message.has_ack()) {
    const auto sent = stream.session.answered(message.ack());
    if (const auto hash = sent.find("checks"); hash != sent.end()) {
      stream.acknowledged = hash->second.hash;
      acknowledged_[node] = std::max(acknowledged_[node], message.ack().revision());
      acknowledging_.push_back(node);
    }
  } else if (message.has_check()) {
    monitor_->report(node, message.check());
  } else if (message.has_probed()) {
    monitor_->probed(node, message.probed());
  }
  flush(node, stream);
}

void SimulatedServer::heartbeat(const std::string& node, uint64_t id, const Beat& beat) {
  const auto at = streams_.find(node);
  if (at == streams_.end() || at->second.id != id || !at->second.session.greeted()) return;
  beat_.set_sequence(beat.sequence);
  beat_.mutable_time()->set_seconds(beat.seconds);
  monitor_->heartbeat(node, beat_);
}

NodePlan SimulatedServer::plan_of(const std::string& name) {
  const SnapshotPtr snapshot = store_.snapshot();
  const auto* node = snapshot->find<pb::Node>(name);
  auto checks = node == nullptr ? pb::ChecksSection() : plan_checks(*snapshot, *node);
  return {snapshot->revision(),
          {{"checks", section_of(std::move(checks), &pb::PlanUpdate::mutable_checks)}}};
}

void SimulatedServer::flush(const std::string& node, Stream& stream) {
  static const NodePlan kNone;
  const auto plan = plans_.find(node);
  while (auto message = stream.session.next(plan == plans_.end() ? kNone : plan->second))
    send_(node, stream.id, std::move(*message));
}

void SimulatedServer::follow_store() {
  std::set<std::string> affected;
  while (true) {
    const auto changes = subscription_->next(1000);
    if (!changes || changes->empty()) break;
    const SnapshotPtr snapshot = store_.snapshot();
    for (const Change& change : *changes) {
      // No plan tells of health.
      if (change.actor.name.starts_with("system/")) continue;
      for (auto& node : checks_affected(*snapshot, change.before, change.after))
        affected.insert(std::move(node));
    }
  }
  for (const std::string& node : affected) {
    const auto at = streams_.find(node);
    if (at == streams_.end() || !at->second.session.greeted()) continue;
    plans_[node] = plan_of(node);
    flush(node, at->second);
  }
}

void SimulatedServer::keep_pace() {
  if (!pace_.update(streams_.size())) return;
  for (auto& [node, stream] : streams_) {
    stream.session.set_interval(pace_.interval());
    monitor_->expect(node, pace_.interval());
    flush(node, stream);
  }
}

void SimulatedServer::step() {
  follow_store();
  keep_pace();
  monitor_->step();
  store_.settle();
  if (++steps_ % 3 == 0) keeper_->step();
}

Revision SimulatedServer::acknowledged(const std::string& node) const {
  const auto at = acknowledged_.find(node);
  return at == acknowledged_.end() ? 0 : at->second;
}

bool SimulatedServer::converged(const std::string& node) const {
  const auto stream = streams_.find(node);
  const auto plan = plans_.find(node);
  return stream != streams_.end() && plan != plans_.end() &&
         stream->second.acknowledged == plan->second.sections.at("checks")->hash();
}

}  // namespace frameworks
