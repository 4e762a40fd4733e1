#include "runtime/health/health_monitor.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <thread>

#include "base/locked.h"
#include "base/log.h"
#include "model/words.h"
#include "runtime/health/checks_plan.h"
#include "runtime/health/health_write.h"
#include "runtime/health/peer_choice.h"
#include "runtime/health/report_check.h"

namespace frameworks {
namespace {

constexpr const char* kActor = "system/health";
// Silent nodes that are looked for in one step: a server that loses thousands at once asks for the
// others in the next ones.
constexpr size_t kProbesAtOnce = 64;
// Of so many nodes that answer the peers are chosen.
constexpr size_t kCandidates = 64;
// Questions without an answer that are remembered.
constexpr size_t kQuestions = 4096;
constexpr std::chrono::seconds kRepeatAlarm{30};

class Monitor final : public HealthMonitor {
 public:
  Monitor(Store& store, Clock& clock, Options options)
      : store_(store),
        clock_(clock),
        options_(std::move(options)),
        lease_(options_.lease),
        known_(std::make_shared<Locked<KnownHealth>>(options_.times, clock.mono())) {}

  ~Monitor() override { stop(); }

  void stop() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  Status begin() {
    RETURN_IF_ERROR(resubscribe());
    if (options_.has_thread)
      thread_ = std::jthread([this](std::stop_token stop) {
        while (clock_.sleep_for(options_.times.tick(), stop)) step();
      });
    return {};
  }

  void heartbeat(std::string_view node) override {
    apply(known_->with(
        [&](KnownHealth& known) { return known.nodes.heartbeat(node, clock_.mono()); }));
  }

  void heartbeat(std::string_view node, const pb::Heartbeat& heartbeat) override {
    this->heartbeat(node);
    if (!heartbeat.has_load() && !heartbeat.has_time()) return;
    const WallTime now = clock_.wall();
    const bool changed = known_->with([&](KnownHealth& known) {
      // Only nodes that are judged have one.
      auto at = known.conditions.find(node);
      if (at == known.conditions.end()) {
        if (known.nodes.state(node) == pb::HEALTH_UNSPECIFIED) return false;
        at = known.conditions.emplace(node, NodeCondition()).first;
      }
      const auto facts = heartbeat.has_load() ? known.facts.find(node) : known.facts.end();
      const double bandwidth = facts == known.facts.end() ? 0 : facts->second.bandwidth_mbps;
      if (!at->second.take(heartbeat, bandwidth, now)) return false;
      const std::string complaint = at->second.complaint();
      spdlog::info("health: node {}: {}", node, complaint.empty() ? "all is well" : complaint);
      return true;
    });
    if (changed) write(std::string(node));
  }

  void expect(std::string_view node, Duration interval) override {
    known_->with([&](KnownHealth& known) { known.nodes.expect(node, interval); });
  }

  void report(std::string_view node, const pb::CheckReport& report) override {
    const SnapshotPtr snapshot = store_.snapshot();
    const std::string concerned = node_to_judge(*snapshot, std::string(node), report);
    const bool is_new = known_->with([&](KnownHealth& known) {
      if (concerned.empty()) {
        ++known.refused;
        return false;
      }
      CheckWord word = word_of(report);
      InstanceReports& reports = known.reports[report.instance()];
      CheckWord& place = report.from_outside()
                             ? reports.outside[report.check()][std::string(node)]
                             : reports.own.try_emplace(report.check()).first->second;
      // The first word counts even if it says what an empty one would.
      const bool same = place == word && !word.reason.empty();
      place = std::move(word);
      return !same;
    });
    if (is_new) write(concerned);
  }

  void probed(std::string_view peer, const pb::ProbeResult& result) override {
    apply(known_->with([&](KnownHealth& known) -> std::vector<HealthTransition> {
      const auto at = known.questions.find(result.id());
      const bool was_asked = at != known.questions.end() && at->second.node == result.node() &&
                             at->second.peers.erase(std::string(peer)) == 1;
      if (!was_asked) return {};
      if (at->second.peers.empty()) known.questions.erase(at);
      const std::string how = bounded_text(result.message(), 200);
      return known.nodes.probed(result.node(), peer, result.reachable(), how, clock_.mono());
    }));
  }

  void step() override {
    follow_store();
    if (lease_ != nullptr) follow_servers();
    apply(known_->with([&](KnownHealth& known) { return known.nodes.tick(clock_.mono()); }));
    look_for_silent();
    sound_alarm();
    write_again();
  }

  Counts counts() const override {
    return known_->with([](const KnownHealth& known) {
      return Counts{.held = known.nodes.held(),
                    .flapping = static_cast<int>(known.flapping.size()),
                    .asked = known.asked,
                    .refused = known.refused};
    });
  }

 private:
  Status resubscribe() {
    const SnapshotPtr snapshot = store_.snapshot();
    ASSIGN_OR_RETURN(subscription_, store_.subscribe(snapshot->revision(), [] {}));
    known_->with([&](KnownHealth& known) {
      for (const auto& node : snapshot->list<pb::Node>()) {
        const std::string& server = node->status().agent().server();
        note_facts(known, *node);
        if (judges(server)) begin_to_judge(known, *node, std::nullopt);
      }
    });
    return {};
  }

  static void note_facts(KnownHealth& known, const pb::Node& node) {
    const std::string& name = node.metadata().name();
    known.facts[name] = {node.status().agent().server(),
                         static_cast<double>(node.spec().size().bandwidth_mbps())};
  }

  // `since`: nothing at the observer's start.
  static void begin_to_judge(KnownHealth& known, const pb::Node& node,
                             std::optional<MonoTime> since) {
    const std::string& name = node.metadata().name();
    const pb::NodeHealth& health = node.status().health();
    if (known.nodes.state(name) == pb::HEALTH_UNSPECIFIED &&
        (health.saturated_size() > 0 || health.clock_off() ||
         health.state() == pb::HEALTH_DEGRADED))
      known.conditions[name].restore(health);
    if (since)
      known.nodes.add(name, health.state(), *since);
    else
      known.nodes.add(name, health.state());
    known.nodes.set_maintained(name, node.spec().availability() == pb::AVAILABILITY_MAINTENANCE);
  }

  static void stop_judging(KnownHealth& known, const std::string& name) {
    known.nodes.remove(name);
    known.conditions.erase(name);
    known.told.erase(name);
  }

  // Whether nodes whose stream is with `server` are this one's to judge.
  [[nodiscard]] bool judges(const std::string& server) const {
    return lease_ == nullptr || server == lease_->server() ||
           (lease_->held() && !lease_->is_alive(server));
  }

  // Takes up the nodes of servers that died, while it holds the lease, and leaves those of others.
  void follow_servers() {
    std::map<std::string, bool> judged;  // by server
    std::vector<std::string> taken_up;
    const SnapshotPtr snapshot = store_.snapshot();
    const MonoTime now = clock_.mono();
    known_->with([&](KnownHealth& known) {
      for (const auto& [name, facts] : known.facts) {
        const auto [at, is_new] = judged.try_emplace(facts.server, false);
        if (is_new) at->second = judges(facts.server);
        const bool had = known.nodes.state(name) != pb::HEALTH_UNSPECIFIED;
        if (had == at->second) continue;
        if (had) {
          stop_judging(known, name);
          continue;
        }
        const auto* node = snapshot->find<pb::Node>(name);
        if (node == nullptr) continue;
        begin_to_judge(known, *node, now);
        taken_up.push_back(name);
      }
    });
    for (const std::string& name : taken_up) write(name);
  }

  // Learns of new and deleted nodes, and of instances that need a word.
  void follow_store() {
    std::set<std::string> touched;
    while (true) {
      auto changes = subscription_->next(1000);
      if (!changes) {
        spdlog::warn("health: start again after {}", changes.error().text());
        if (const auto again = resubscribe(); !again)
          spdlog::error("health: {}", again.error().text());
        return;
      }
      if (changes->empty()) break;
      for (const Change& change : *changes) follow(change, touched);
    }
    for (const std::string& node : touched) write(node);
  }

  void follow(const Change& change, std::set<std::string>& touched) {
    if (change.key.kind == "Node") {
      follow_node(change, touched);
    } else if (change.key.kind == "Instance" && !change.after) {
      known_->with([&](KnownHealth& known) {
        known.reports.erase(change.key.name);
        known.flapping.erase(change.key.name);
      });
    } else if (change.actor.name != kActor &&
               (change.key.kind == "Instance" || change.key.kind == "Service")) {
      const SnapshotPtr snapshot = store_.snapshot();
      for (auto& node : checks_affected(*snapshot, change.before, change.after))
        touched.insert(std::move(node));
    }
  }

  void follow_node(const Change& change, std::set<std::string>& touched) {
    const std::string& name = change.key.name;
    if (!change.after) {
      known_->with([&](KnownHealth& known) {
        stop_judging(known, name);
        known.facts.erase(name);
      });
      return;
    }
    const auto& node = change.after.as<pb::Node>();
    const std::string& server = node.status().agent().server();
    const MonoTime now = clock_.mono();
    apply(known_->with([&](KnownHealth& known) -> std::vector<HealthTransition> {
      const auto at = known.facts.find(name);
      const bool is_new = at == known.facts.end();
      const bool came = !is_new && at->second.server != server;
      note_facts(known, node);
      if (!judges(server)) {
        stop_judging(known, name);
        return {};
      }
      if (is_new) known.nodes.add(name, pb::HEALTH_UNKNOWN, now);
      // Never heard here, and what is written another server found out: it begins with that.
      else if (lease_ != nullptr && known.nodes.state(name) == pb::HEALTH_UNKNOWN)
        stop_judging(known, name);
      begin_to_judge(known, node, now);
      // Another server may have said something else, before this one had the node.
      const pb::Health state = known.nodes.state(name);
      const pb::Health written = node.status().health().state();
      const bool agrees =
          state == written || (state == pb::HEALTH_HEALTHY && written == pb::HEALTH_DEGRADED);
      if (lease_ != nullptr && state != pb::HEALTH_UNKNOWN && !agrees) touched.insert(name);
      // Its stream was opened here: a sign of life that came before its being ours.
      if (!came || lease_ == nullptr || server != lease_->server()) return {};
      touched.insert(name);
      return known.nodes.heartbeat(name, now);
    }));
  }

  void look_for_silent() {
    if (!options_.ask && !options_.look) return;
    const MonoTime now = clock_.mono();
    std::vector<std::string> silent;
    std::vector<std::string> candidates;
    known_->with([&](KnownHealth& known) {
      silent = known.nodes.to_probe(now, kProbesAtOnce);
      if (silent.empty()) return;
      candidates = known.nodes.answering(asked_last_, kCandidates);
      asked_last_ = silent.back();
    });
    if (silent.empty()) return;
    const SnapshotPtr snapshot = store_.snapshot();
    const std::vector<PeerCandidate> peers = peer_candidates(*snapshot, candidates);
    for (const std::string& name : silent)
      if (const auto* node = snapshot->find<pb::Node>(name); node != nullptr)
        look_for(*snapshot, *node, peers);
  }

  void look_for(const Snapshot& snapshot, const pb::Node& node,
                const std::vector<PeerCandidate>& candidates) {
    pb::ProbePeer probe;
    probe.set_node(node.metadata().name());
    for (std::string& target : probe_targets(snapshot, node)) probe.add_targets(std::move(target));
    if (probe.targets().empty()) return;
    const auto peers =
        options_.ask ? choose_peers(snapshot, node, candidates) : std::vector<std::string>();
    known_->with([&](KnownHealth& known) {
      probe.set_id(++known.asked);
      const Duration timeout =
          HealthTimes::probe_timeout(known.nodes.interval(node.metadata().name()));
      probe.mutable_timeout()->set_seconds(timeout / std::chrono::seconds(1));
      probe.mutable_timeout()->set_nanos(
          static_cast<int32_t>((timeout % std::chrono::seconds(1)).count()));
      auto& question = known.questions[probe.id()];
      question.node = probe.node();
      question.peers.insert(peers.begin(), peers.end());
      if (options_.look) question.peers.insert("");
      while (known.questions.size() > kQuestions) known.questions.erase(known.questions.begin());
    });
    for (const std::string& peer : peers) (void)options_.ask(peer, probe);
    if (options_.look) options_.look(probe);
  }

  // Loudly, and again while it lasts.
  void sound_alarm() {
    const int held = counts().held;
    const MonoTime now = clock_.mono();
    if (held == 0) {
      if (std::exchange(alarm_, std::nullopt))
        spdlog::warn("health: the mass loss is over: no node is held any more");
      return;
    }
    if (alarm_ && now - *alarm_ < kRepeatAlarm) return;
    alarm_ = now;
    spdlog::error(
        "health: MASS LOSS: {} nodes vanished at once and are held: they keep their places until "
        "they return; look at this server's own network first, then see `frameworks get incidents`",
        held);
  }

  void apply(const std::vector<HealthTransition>& transitions) {
    for (const HealthTransition& transition : transitions) {
      spdlog::info("health: node {} is {}: {}", transition.node, word(transition.state),
                   transition.reason);
      known_->with([&](KnownHealth& known) { known.told[transition.node] = transition; });
      write(transition.node);
    }
  }

  // What the store refused for a while, and instances that became calm.
  void write_again() {
    const MonoTime now = clock_.mono();
    const SnapshotPtr snapshot = store_.snapshot();
    const std::set<std::string> nodes = known_->with([&](KnownHealth& known) {
      std::set<std::string> out = std::exchange(known.failed, {});
      for (const std::string& name : known.flapping) {
        const auto reports = known.reports.find(name);
        if (reports == known.reports.end() ||
            reports->second.flaps.flapping(now, known.times.flaps))
          continue;
        if (const auto* instance = snapshot->find<pb::Instance>(name); instance != nullptr)
          out.insert(instance->spec().node());
      }
      return out;
    });
    for (const std::string& node : nodes) write(node);
  }

  // Nothing where this server does not judge the node.
  std::optional<Competence> competence(const std::string& node) {
    if (lease_ == nullptr) return Competence{.server = "", .fence = nullptr, .is_sole = true};
    const std::string server = known_->with([&](const KnownHealth& known) {
      const auto at = known.facts.find(node);
      return at == known.facts.end() ? std::string() : at->second.server;
    });
    if (!judges(server)) return std::nullopt;
    if (server == lease_->server()) return Competence{server, nullptr};
    return Competence{server, lease_->fenced([](Transaction&) -> Status { return {}; })};
  }

  void write(const std::string& node) {
    const auto competent = competence(node);
    if (!competent) return;
    // What waits will write what is known by then.
    if (!known_->with([&](KnownHealth& known) { return known.queued.insert(node).second; })) return;
    store_.write_async(
        kActor,
        [known = known_, node, competence = *competent,
         &clock = clock_](Transaction& transaction) -> Status {
          HealthWrite(transaction, known, clock.mono()).write(node, competence);
          return {};
        },
        [known = known_, node](const Result<Committed>& done) {
          if (done) return;
          spdlog::error("health: write of node {}: {}", node, done.error().text());
          known->with([&](KnownHealth& state) {
            state.queued.erase(node);
            state.failed.insert(node);
          });
        });
  }

  Store& store_;
  Clock& clock_;
  const Options options_;
  const Lease* const lease_;
  std::shared_ptr<Locked<KnownHealth>> known_;
  // The thread's own.
  std::unique_ptr<Subscription> subscription_;
  std::string asked_last_;
  std::optional<MonoTime> alarm_;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<HealthMonitor>> HealthMonitor::start(Store& store, Clock& clock,
                                                            Options options) {
  auto monitor = std::make_unique<Monitor>(store, clock, std::move(options));
  RETURN_IF_ERROR(monitor->begin());
  return std::unique_ptr<HealthMonitor>(std::move(monitor));
}

}  // namespace frameworks
