#include "runtime/sessions/sessions.h"

#include <fmt/format.h>

#include "base/log.h"
#include "runtime/sessions/peer_reports.h"
#include "runtime/sessions/planning.h"
#include "runtime/sessions/session_table.h"

namespace frameworks {
namespace {

// Nodes and planes in a report at most: it is written twice a second.
constexpr size_t kReported = 2'000;

class SessionsImpl final : public Sessions {
 public:
  SessionsImpl(Store& store, Clock& clock, const PlanSource& source, Options options)
      : store_(store),
        clock_(clock),
        source_(source),
        options_(std::move(options)),
        peers_(options_.report_of),
        table_(source.sections(), options_.heartbeat),
        planning_(store, clock, source, table_, options_.on_interval) {}

  Status begin() { return planning_.start(); }

  Result<std::shared_ptr<Session>> open(const std::string& node, Stream stream) override;

  bool send(const std::string& node, pb::ServerMessage message) override;

  int connected() const override {
    return table_.with([](const SessionTable& table) { return table.connected; });
  }
  bool connected(const std::string& node) const override {
    return table_.with([&](const SessionTable& table) {
      const auto at = table.nodes.find(node);
      return at != table.nodes.end() && at->second.stream_id != 0;
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

  void ask_peers(Revision revision, const std::set<std::string>& elsewhere,
                 std::vector<Convergence::Plane>& planes) const;

  Store& store_;
  Clock& clock_;
  const PlanSource& source_;
  const Options options_;
  mutable PeerReports peers_;
  LockedTable table_;
  Planning planning_;
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
  const uint64_t id = table_.with([&](SessionTable& table) {
    NodeEntry& entry = table.nodes[node];
    if (entry.stream_id != 0)
      close_old = std::move(entry.stream.close);
    else
      ++table.connected;
    entry.session = NodeSession();
    entry.lacks = {};
    entry.planned = false;
    entry.stream = std::move(stream);
    table.opened.insert(node);
    return entry.stream_id = ++table.streams;
  });
  planning_.poke();
  if (close_old) close_old(Error(Code::kAborted, "the node opened another stream"));
  return std::make_shared<SessionImpl>(*this, node, id);
}

void SessionsImpl::closed(const std::string& node, uint64_t id) {
  table_.with([&](SessionTable& table) {
    NodeEntry* entry = table.current(node, id);
    if (entry == nullptr) return;
    entry->stream_id = 0;
    entry->stream = {};
    entry->lacks = {};
    --table.connected;
  });
}

Status SessionsImpl::receive(const std::string& node, uint64_t id,
                             const pb::AgentMessage& message) {
  const bool greeted = table_.with([&](SessionTable& table) {
    const NodeEntry* entry = table.current(node, id);
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
  table_.with([&](SessionTable& table) {
    NodeEntry* entry = table.current(node, id);
    if (entry == nullptr) return;
    interval = table.pace.interval();
    entry->session.hello(hello, interval);
    for (const std::string& section : source_.sections()) {
      const auto has = hello.section_hashes().find(section);
      const std::string hash = has == hello.section_hashes().end() ? std::string() : has->second;
      // What it lacks may have been let go when it was sent.
      if (entry->planned && !entry->lacks.sections.contains(section) &&
          table.convergence.wanted(node, section) != hash)
        plan_again = true;
      table.convergence.applied(node, section, hash, now);
    }
    if (plan_again) table.opened.insert(node);
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
  if (plan_again) planning_.poke();
  if (poke) poke();
  return {};
}

bool SessionsImpl::send(const std::string& node, pb::ServerMessage message) {
  std::function<void()> poke;
  table_.with([&](SessionTable& table) {
    const auto at = table.nodes.find(node);
    if (at == table.nodes.end() || at->second.stream_id == 0) return;
    if (at->second.session.push(std::move(message))) poke = at->second.stream.poke;
  });
  if (poke) poke();
  return poke != nullptr;
}

void SessionsImpl::ack(const std::string& node, uint64_t id, const pb::PlanAck& ack) {
  const WallTime now = clock_.wall();
  std::function<void()> poke;
  bool send_whole = false;
  table_.with([&](SessionTable& table) {
    NodeEntry* entry = table.current(node, id);
    if (entry == nullptr) return;
    const auto sent = entry->session.answered(ack);
    for (const std::string& section : ack.applied()) {
      const auto it = sent.find(section);
      if (it != sent.end()) table.convergence.applied(node, section, it->second.hash, now);
    }
    for (const auto& [section, why] : ack.errors()) {
      const auto it = sent.find(section);
      if (it == sent.end()) continue;
      table.convergence.failed(node, section, why);
      // A node that does not have what changes were told since is sent the whole at once.
      const bool was_part = it->second.is_part;
      send_whole = send_whole || was_part;
      entry->session.failed(section, clock_.mono() + (was_part ? Duration{} : options_.retry));
    }
    poke = entry->stream.poke;
  });
  for (const auto& [section, why] : ack.errors())
    spdlog::warn("sessions: node {} could not apply {}: {}", node, section, why);
  if (send_whole) planning_.poke();
  if (poke) poke();
}

Status SessionsImpl::renew(const std::string& node, uint64_t id, const pb::RenewRequest& request) {
  auto certificate = options_.sign(request.certificate_request(), node);
  if (!certificate) return Error(std::move(certificate.error()));
  std::function<void()> poke;
  table_.with([&](SessionTable& table) {
    NodeEntry* entry = table.current(node, id);
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
  return table_.with([&](SessionTable& table) -> std::optional<pb::ServerMessage> {
    NodeEntry* entry = table.current(node, id);
    if (entry == nullptr) return {};
    auto message = entry->session.next(entry->lacks);
    entry->session.take_out_sent(entry->lacks);
    return message;
  });
}

bool SessionsImpl::converged(const std::string& node) const {
  const SnapshotPtr snapshot = store_.snapshot();
  const Revision newest = snapshot->revision();
  const bool is_here = connected(node);
  if (is_here || !options_.report_of)
    return table_.with([&](const SessionTable& table) {
      return table.planned >= newest && table.convergence.converged(node);
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
  auto planes = table_.with([&](const SessionTable& table) {
    auto planes = table.convergence.at(revision);
    for (auto& plane : planes) {
      if (table.planned < revision) {
        plane.elapsed.reset();
        plane.waiting.insert(plane.waiting.begin(), {"", "being planned", 0});
      }
      for (auto& waiting : plane.waiting) {
        const auto at = table.nodes.find(waiting.node);
        if (at == table.nodes.end()) continue;
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
    plane.elapsed = table_.with(
        [&](const SessionTable& table) { return table.convergence.elapsed(plane.name, revision); });
  }
}

std::string SessionsImpl::report() const {
  PeerReport report;
  table_.with([&](const SessionTable& table) {
    report.planned = table.planned;
    for (const auto& plane : table.convergence.at(INT64_MAX))
      for (const auto& waiting : plane.waiting) {
        const auto at = table.nodes.find(waiting.node);
        if (at == table.nodes.end() || at->second.stream_id == 0) continue;
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
