#include "runtime/sessions/sessions.h"

#include <fmt/format.h>

#include <condition_variable>
#include <map>
#include <thread>

#include "base/locked.h"
#include "base/log.h"
#include "runtime/sessions/heartbeat_pace.h"
#include "runtime/sessions/node_session.h"
#include "runtime/sessions/peer_reports.h"

namespace frameworks {
namespace {

constexpr size_t kBatch = 10'000;
// Nodes and planes in a report at most: it is written twice a second.
constexpr size_t kReported = 2'000;
constexpr Duration kTick = std::chrono::milliseconds(500);

struct NodeEntry {
  // What the node lacks of its plan. Null: not planned yet, or it has all of it or was sent it;
  // then the plan is made again when it is needed again.
  std::shared_ptr<const pb::PlanUpdate> wanted;
  bool planned = false;  // since the stream was opened
  NodeSession session;
  uint64_t stream_id = 0;  // 0: not connected
  Sessions::Stream stream;
  bool joined = false;
};

struct State {
  State(std::vector<std::string> sections, Duration heartbeat)
      : convergence(std::move(sections)), pace(heartbeat) {}
  std::map<std::string, NodeEntry, std::less<>> nodes;
  Convergence convergence;
  Revision planned = 0;
  std::set<std::string> opened;  // connected since, and to be planned
  uint64_t streams = 0;          // ever opened
  int connected = 0;
  HeartbeatPace pace;
};

class SessionsImpl final : public Sessions {
 public:
  SessionsImpl(Store& store, Clock& clock, const PlanSource& source, Options options)
      : store_(store),
        clock_(clock),
        source_(source),
        options_(std::move(options)),
        peers_(options_.report_of),
        state_(source.sections(), options_.heartbeat) {}

  ~SessionsImpl() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  Status begin() {
    RETURN_IF_ERROR(plan_everything());
    thread_ = std::jthread([this](std::stop_token stop) { follow(stop); });
    return {};
  }

  Result<std::shared_ptr<Session>> open(const std::string& node, Stream stream) override;

  bool send(const std::string& node, pb::ServerMessage message) override;

  int connected() const override {
    return state_.with([](const State& state) { return state.connected; });
  }
  bool connected(const std::string& node) const override {
    return state_.with([&](const State& state) {
      const auto at = state.nodes.find(node);
      return at != state.nodes.end() && at->second.stream_id != 0;
    });
  }
  bool converged(const std::string& node) const override;
  std::vector<Convergence::Plane> convergence(Revision revision) const override;
  std::string report() const override;

 private:
  friend class SessionImpl;

  // From the streams.
  Status receive(const std::string& node, uint64_t id, const pb::AgentMessage& message);
  std::optional<pb::ServerMessage> next(const std::string& node, uint64_t id);
  void closed(const std::string& node, uint64_t id);
  Status hello(const std::string& node, uint64_t id, const pb::Hello& hello);
  void ack(const std::string& node, uint64_t id, const pb::PlanAck& ack);
  Status renew(const std::string& node, uint64_t id, const pb::RenewRequest& request);
  void write_agent(const std::string& node, std::function<void(pb::AgentStatus&)> change);

  // The planning thread's.
  Status plan_everything();
  void follow(std::stop_token stop);
  bool plan_changes();
  void plan_opened();
  void forget_node(const std::string& name);
  void plan_nodes(const Snapshot& snapshot, const std::set<std::string>& names, Revision since,
                  WallTime time);
  void retry_failed();
  void keep_pace();
  void poke_planner();

  void ask_peers(Revision revision, const std::set<std::string>& elsewhere,
                 std::vector<Convergence::Plane>& planes) const;

  // The entry of a node while stream `id` is its current one; else null.
  static NodeEntry* current(State& state, const std::string& node, uint64_t id) {
    const auto at = state.nodes.find(node);
    return at == state.nodes.end() || at->second.stream_id != id ? nullptr : &at->second;
  }

  Store& store_;
  Clock& clock_;
  const PlanSource& source_;
  const Options options_;
  mutable PeerReports peers_;
  Locked<State> state_;

  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool woken_ = false;
  std::unique_ptr<Subscription> subscription_;
  std::jthread thread_;
};

class SessionImpl final : public Session {
 public:
  SessionImpl(SessionsImpl& sessions, std::string node, uint64_t id)
      : sessions_(sessions), node_(std::move(node)), id_(id) {}
  ~SessionImpl() override { sessions_.closed(node_, id_); }
  Status receive(const pb::AgentMessage& message) override {
    return sessions_.receive(node_, id_, message);
  }
  std::optional<pb::ServerMessage> next() override { return sessions_.next(node_, id_); }

 private:
  SessionsImpl& sessions_;
  std::string node_;
  uint64_t id_;
};

Result<std::shared_ptr<Session>> SessionsImpl::open(const std::string& node, Stream stream) {
  const SnapshotPtr snapshot = store_.snapshot();
  const auto* known = snapshot->find<pb::Node>(node);
  if (known == nullptr)
    return Error(Code::kPermissionDenied,
                 fmt::format("node \"{}\" is not part of the fleet (any more)", node));
  if (!known->status().agent().has_join_time())
    return Error(Code::kPermissionDenied,
                 fmt::format("node \"{}\" has not joined: join with a new token", node));
  std::function<void(Error)> close_old;
  const uint64_t id = state_.with([&](State& state) {
    NodeEntry& entry = state.nodes[node];
    if (entry.stream_id != 0)
      close_old = std::move(entry.stream.close);
    else
      ++state.connected;
    entry.session = NodeSession();
    entry.planned = false;
    entry.stream = std::move(stream);
    state.opened.insert(node);
    return entry.stream_id = ++state.streams;
  });
  poke_planner();
  if (close_old) close_old(Error(Code::kAborted, "the node opened another stream"));
  return std::make_shared<SessionImpl>(*this, node, id);
}

void SessionsImpl::closed(const std::string& node, uint64_t id) {
  state_.with([&](State& state) {
    NodeEntry* entry = current(state, node, id);
    if (entry == nullptr) return;
    entry->stream_id = 0;
    entry->stream = {};
    entry->wanted = nullptr;
    --state.connected;
  });
}

Status SessionsImpl::receive(const std::string& node, uint64_t id,
                             const pb::AgentMessage& message) {
  const bool greeted = state_.with([&](State& state) {
    const NodeEntry* entry = current(state, node, id);
    return entry != nullptr && entry->session.greeted();
  });
  if (!greeted && !message.has_hello())
    return Error(Code::kFailedPrecondition, "the first message of a stream must be hello");
  const bool is_beat = message.has_heartbeat() && options_.on_heartbeat;
  if (options_.on_alive && !is_beat) options_.on_alive(node);
  switch (message.message_case()) {
    case pb::AgentMessage::kHello:
      return hello(node, id, message.hello());
    case pb::AgentMessage::kAck:
      ack(node, id, message.ack());
      return {};
    case pb::AgentMessage::kCheck:
      if (options_.on_check) options_.on_check(node, message.check());
      return {};
    case pb::AgentMessage::kRenew:
      return renew(node, id, message.renew());
    case pb::AgentMessage::kHeartbeat:
      if (is_beat) options_.on_heartbeat(node, message.heartbeat());
      return {};
    case pb::AgentMessage::kProbed:
      if (options_.on_probed) options_.on_probed(node, message.probed());
      return {};
    case pb::AgentMessage::MESSAGE_NOT_SET:
      return {};
  }
  return {};
}

Status SessionsImpl::hello(const std::string& node, uint64_t id, const pb::Hello& hello) {
  const WallTime now = clock_.wall();
  std::function<void()> poke;
  bool plan_again = false;
  Duration interval{};
  state_.with([&](State& state) {
    NodeEntry* entry = current(state, node, id);
    if (entry == nullptr) return;
    interval = state.pace.interval();
    entry->session.hello(hello, interval);
    plan_again = entry->planned && entry->wanted == nullptr;
    if (plan_again) state.opened.insert(node);
    for (const std::string& section : source_.sections()) {
      const auto has = hello.section_hashes().find(section);
      state.convergence.applied(
          node, section, has == hello.section_hashes().end() ? std::string() : has->second, now);
    }
    poke = entry->stream.poke;
  });
  write_agent(node, [hello, server = options_.server](pb::AgentStatus& agent) {
    agent.set_server(server);
    agent.set_version(hello.version());
    agent.set_wireguard_public_key(hello.wireguard_public_key());
    agent.set_wireguard_backend(hello.wireguard_backend());
    agent.set_simulated(hello.simulated());
  });
  spdlog::info("sessions: node {} is connected (agent {}, WireGuard {})", node, hello.version(),
               hello.wireguard_backend());
  if (options_.on_interval && interval > Duration{}) options_.on_interval(node, interval);
  if (plan_again) poke_planner();
  if (poke) poke();
  return {};
}

bool SessionsImpl::send(const std::string& node, pb::ServerMessage message) {
  std::function<void()> poke;
  state_.with([&](State& state) {
    const auto at = state.nodes.find(node);
    if (at == state.nodes.end() || at->second.stream_id == 0) return;
    if (at->second.session.push(std::move(message))) poke = at->second.stream.poke;
  });
  if (poke) poke();
  return poke != nullptr;
}

void SessionsImpl::ack(const std::string& node, uint64_t id, const pb::PlanAck& ack) {
  const WallTime now = clock_.wall();
  std::function<void()> poke;
  state_.with([&](State& state) {
    NodeEntry* entry = current(state, node, id);
    if (entry == nullptr) return;
    const auto sent = entry->session.answered(ack);
    for (const std::string& section : ack.applied()) {
      const auto hash = sent.find(section);
      if (hash != sent.end()) state.convergence.applied(node, section, hash->second, now);
    }
    for (const auto& [section, why] : ack.errors()) {
      if (!sent.contains(section)) continue;
      state.convergence.failed(node, section, why);
      entry->session.failed(section, clock_.mono() + options_.retry);
    }
    poke = entry->stream.poke;
  });
  for (const auto& [section, why] : ack.errors())
    spdlog::warn("sessions: node {} could not apply {}: {}", node, section, why);
  if (poke) poke();
}

Status SessionsImpl::renew(const std::string& node, uint64_t id, const pb::RenewRequest& request) {
  auto certificate = options_.sign(request.certificate_request(), node);
  if (!certificate) return Error(std::move(certificate.error()));
  std::function<void()> poke;
  state_.with([&](State& state) {
    NodeEntry* entry = current(state, node, id);
    if (entry == nullptr) return;
    entry->session.renewed(certificate->pem);
    poke = entry->stream.poke;
  });
  write_agent(node, [serial = certificate->serial](pb::AgentStatus& agent) {
    agent.set_certificate_serial(serial);
  });
  if (poke) poke();
  return {};
}

void SessionsImpl::write_agent(const std::string& node,
                               std::function<void(pb::AgentStatus&)> change) {
  store_.write_async(
      "node/" + node,
      [node, change = std::move(change)](Transaction& transaction) -> Status {
        const auto* found = transaction.snapshot().find<pb::Node>(node);
        if (found == nullptr) return {};
        pb::Node copy = *found;
        change(*copy.mutable_status()->mutable_agent());
        transaction.put(std::move(copy));
        return {};
      },
      [node](const Result<Committed>& done) {
        if (!done) spdlog::error("sessions: write of node {}: {}", node, done.error().text());
      });
}

std::optional<pb::ServerMessage> SessionsImpl::next(const std::string& node, uint64_t id) {
  return state_.with([&](State& state) -> std::optional<pb::ServerMessage> {
    NodeEntry* entry = current(state, node, id);
    if (entry == nullptr) return {};
    auto message = entry->session.next(entry->wanted.get());
    if (entry->wanted != nullptr && entry->session.has(*entry->wanted)) entry->wanted = nullptr;
    return message;
  });
}

Status SessionsImpl::plan_everything() {
  const SnapshotPtr snapshot = store_.snapshot();
  ASSIGN_OR_RETURN(subscription_,
                   store_.subscribe(snapshot->revision(), [this] { poke_planner(); }));
  std::set<std::string> names;
  for (const auto& node : snapshot->list<pb::Node>()) names.insert(node->metadata().name());
  state_.with([&](State& state) {
    for (const auto& [name, entry] : state.nodes) names.insert(name);
  });
  plan_nodes(*snapshot, names, snapshot->revision(), clock_.wall());
  return {};
}

void SessionsImpl::poke_planner() {
  {
    std::lock_guard lock(wake_mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

void SessionsImpl::follow(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      // Real time on purpose: only a safety net for retries, never part of a decision.
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, stop, kTick, [&] { return woken_; });
      woken_ = false;
    }
    plan_opened();
    while (!stop.stop_requested() && plan_changes()) plan_opened();
    retry_failed();
    keep_pace();
  }
}

// Tells all nodes when their number asks for another interval.
void SessionsImpl::keep_pace() {
  std::vector<std::pair<std::string, std::function<void()>>> told;
  Duration interval{};
  state_.with([&](State& state) {
    if (!state.pace.update(static_cast<size_t>(state.connected))) return;
    interval = state.pace.interval();
    for (auto& [name, entry] : state.nodes) {
      if (entry.stream_id == 0) continue;
      entry.session.set_interval(interval);
      told.emplace_back(name, entry.stream.poke);
    }
  });
  if (told.empty()) return;
  spdlog::info("sessions: {} nodes send a heartbeat every {} s from now on", told.size(),
               interval / std::chrono::seconds(1));
  for (const auto& [name, poke] : told) {
    if (options_.on_interval) options_.on_interval(name, interval);
    if (poke) poke();
  }
}

// True when there may be more.
bool SessionsImpl::plan_changes() {
  auto changes = subscription_->next(kBatch);
  if (!changes) {
    spdlog::warn("sessions: plan everything again: {}", changes.error().text());
    if (const auto again = plan_everything(); !again)
      spdlog::error("sessions: {}", again.error().text());
    return false;
  }
  if (changes->empty()) return false;
  const SnapshotPtr snapshot = store_.snapshot();
  const Change& first = changes->front();
  plan_nodes(*snapshot, source_.affected(*snapshot, *changes), first.revision, first.time);
  state_.with(
      [&](State& state) { state.planned = std::max(state.planned, changes->back().revision); });
  return true;
}

// Nodes that connected are planned as of now.
void SessionsImpl::plan_opened() {
  const std::set<std::string> names =
      state_.with([](State& state) { return std::exchange(state.opened, {}); });
  if (names.empty()) return;
  const SnapshotPtr snapshot = store_.snapshot();
  const Revision planned = state_.with([](const State& state) { return state.planned; });
  plan_nodes(*snapshot, names, planned, clock_.wall());
}

void SessionsImpl::forget_node(const std::string& name) {
  std::function<void(Error)> close;
  state_.with([&](State& state) {
    state.convergence.remove(name);
    const auto at = state.nodes.find(name);
    if (at == state.nodes.end()) return;
    if (at->second.stream_id != 0) --state.connected;
    close = std::move(at->second.stream.close);
    state.nodes.erase(at);
  });
  if (close) close(Error(Code::kPermissionDenied, "the node was removed from the fleet"));
}

void SessionsImpl::plan_nodes(const Snapshot& snapshot, const std::set<std::string>& names,
                              Revision since, WallTime time) {
  std::unique_ptr<PlanSource::Planner> planner;
  for (const std::string& name : names) {
    const auto* node = snapshot.find<pb::Node>(name);
    if (node == nullptr) {
      forget_node(name);
      continue;
    }
    // What a node that is away shall have is found out when it comes: nobody can be sent it, and
    // the plans of a large fleet take more room than its model.
    const bool connected = state_.with([&](State& state) {
      NodeEntry& entry = state.nodes[name];
      entry.joined = node->status().agent().has_join_time();
      if (entry.stream_id != 0) return true;
      state.convergence.forget(name);
      return false;
    });
    if (!connected) continue;
    if (planner == nullptr) planner = source_.planner(snapshot);
    auto plan = std::make_shared<pb::PlanUpdate>(planner->plan(*node));
    plan->set_revision(snapshot.revision());
    std::function<void()> poke;
    state_.with([&](State& state) {
      NodeEntry& entry = state.nodes[name];
      if (entry.stream_id == 0) return;
      for (const auto& [section, hash] : plan->section_hashes())
        state.convergence.want(name, section, hash, since, time);
      entry.planned = true;
      entry.wanted = entry.session.has(*plan) ? nullptr : std::move(plan);
      if (entry.wanted != nullptr) poke = entry.stream.poke;
    });
    if (poke) poke();
  }
  state_.with([&](State& state) { state.planned = std::max(state.planned, since); });
}

void SessionsImpl::retry_failed() {
  const MonoTime now = clock_.mono();
  std::vector<std::function<void()>> pokes;
  state_.with([&](State& state) {
    for (auto& [name, entry] : state.nodes) {
      if (entry.stream_id == 0 || !entry.session.retry(now)) continue;
      if (entry.wanted != nullptr)
        pokes.push_back(entry.stream.poke);
      else
        state.opened.insert(name);
    }
  });
  for (const auto& poke : pokes) poke();
  plan_opened();
}

bool SessionsImpl::converged(const std::string& node) const {
  const SnapshotPtr snapshot = store_.snapshot();
  const Revision newest = snapshot->revision();
  const bool is_here = connected(node);
  if (is_here || !options_.report_of)
    return state_.with([&](const State& state) {
      return state.planned >= newest && state.convergence.converged(node);
    });
  const auto* found = snapshot->find<pb::Node>(node);
  if (found == nullptr) return false;
  const auto planes = source_.sections();
  return std::none_of(planes.begin(), planes.end(), [&](const std::string& plane) {
    return peers_.lacks(found->status().agent().server(), node, plane, newest).has_value();
  });
}

std::vector<Convergence::Plane> SessionsImpl::convergence(Revision revision) const {
  std::set<std::string> elsewhere;
  auto planes = state_.with([&](const State& state) {
    auto planes = state.convergence.at(revision);
    for (auto& plane : planes) {
      if (state.planned < revision) {
        plane.elapsed.reset();
        plane.waiting.insert(plane.waiting.begin(), {"", "being planned", 0});
      }
      for (auto& waiting : plane.waiting) {
        const auto at = state.nodes.find(waiting.node);
        if (at == state.nodes.end()) continue;
        if (at->second.stream_id == 0) elsewhere.insert(waiting.node);
        if (!waiting.error.empty()) continue;
        waiting.error = !at->second.joined              ? "has not joined yet"
                        : at->second.stream_id == 0     ? "is not connected"
                        : !at->second.session.greeted() ? "has not said hello yet"
                                                        : "was sent it and has not answered yet";
      }
    }
    return planes;
  });
  if (options_.report_of && !elsewhere.empty()) ask_peers(revision, elsewhere, planes);
  return planes;
}

// Takes out of `planes` who has got there by another server, and says why of the others.
void SessionsImpl::ask_peers(Revision revision, const std::set<std::string>& elsewhere,
                             std::vector<Convergence::Plane>& planes) const {
  const SnapshotPtr snapshot = store_.snapshot();
  for (auto& plane : planes) {
    std::erase_if(plane.waiting, [&](Convergence::Waiting& waiting) {
      const auto* node =
          elsewhere.contains(waiting.node) ? snapshot->find<pb::Node>(waiting.node) : nullptr;
      if (node == nullptr || !node->status().agent().has_join_time()) return false;
      auto lacks =
          peers_.lacks(node->status().agent().server(), waiting.node, plane.name, revision);
      if (!lacks) return true;
      waiting.error = *std::move(lacks);
      return false;
    });
    if (!plane.waiting.empty() || plane.elapsed) continue;
    plane.elapsed = state_.with(
        [&](const State& state) { return state.convergence.elapsed(plane.name, revision); });
  }
}

std::string SessionsImpl::report() const {
  PeerReport report;
  state_.with([&](const State& state) {
    report.planned = state.planned;
    for (const auto& plane : state.convergence.at(INT64_MAX))
      for (const auto& waiting : plane.waiting) {
        const auto at = state.nodes.find(waiting.node);
        if (at == state.nodes.end() || at->second.stream_id == 0) continue;
        report.truncated = report.waiting.size() == kReported;
        if (report.truncated) return;
        report.waiting.push_back({waiting.node, plane.name, waiting.since, waiting.error});
      }
  });
  return report.text();
}

}  // namespace

Result<std::unique_ptr<Sessions>> Sessions::start(Store& store, Clock& clock,
                                                  const PlanSource& source, Options options) {
  auto sessions = std::make_unique<SessionsImpl>(store, clock, source, std::move(options));
  RETURN_IF_ERROR(sessions->begin());
  return std::unique_ptr<Sessions>(std::move(sessions));
}

}  // namespace frameworks
