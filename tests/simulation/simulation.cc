#include "simulation/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <queue>
#include <random>
#include <set>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/service.pb.h"
#include "runtime/health/incident_write.h"
#include "runtime/orchestration/placement_plan.h"
#include "simulation/simulated_server.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kStep{50};
constexpr int kRegions = 3;
// A flapping node is held for at most three half-lives after its last fall.
constexpr seconds kCalm{260};

struct Message {
  MonoTime at;
  uint64_t order;
  int agent;
  uint64_t stream;
  bool is_up;  // to the server
  pb::AgentMessage up;
  pb::ServerMessage down;
  bool operator<(const Message& other) const {
    return std::pair(at, order) > std::pair(other.at, other.order);
  }
};

struct Agent {
  std::string name;
  int region = 0;
  bool powered = true;
  bool frozen = false;   // SIGSTOP: nothing is read or said, the machine answers
  bool cut = false;      // from the server only
  bool failing = false;  // its check
  int64_t clock_off = 0;
  Duration interval = seconds(1);
  MonoTime next_beat{};
  MonoTime reconnect_at{};
  uint64_t stream = 0;         // 0: away
  MonoTime last[2]{};          // when the newest message of the stream arrives, down and up
  std::deque<Message> unread;  // while it is stopped
  std::string hash;
  Revision applied = 0;
  pb::ChecksSection checks;
  int64_t sequence = 0;
};

class World {
 public:
  explicit World(const SimulationOptions& options) : options_(options), random_(options.seed) {
    auto store = Store::open(std::move(*open_sqlite_log(":memory:")), clock_, {},
                             [](Transaction& transaction) -> Status {
                               return plan_instances(transaction, transaction.changed());
                             });
    store_ = std::make_unique<SyncStore>(std::move(*store));
    make_fleet();
    server_ = std::make_unique<SimulatedServer>(
        *store_, clock_, [this](const std::string& node, uint64_t stream, pb::ServerMessage down) {
          post({.stream = stream, .is_up = false, .up = {}, .down = std::move(down)},
               by_name_[node]);
        });
    is_lossy_ = chance(0.7);
    loss_ = is_lossy_ ? 0.01 * pick(1, 10) : 0;
  }

  SimulationResult run() {
    pass(seconds(15));
    for (int i = 0; i < options_.faults && result_.violations.empty(); ++i) {
      fault();
      pass(milliseconds(pick(500, 12'000)));
      check_now();
    }
    heal();
    pass(kCalm);
    check_end();
    result_.simulated_ms = clock_.mono().time_since_epoch() / milliseconds(1);
    result_.revisions = store_->snapshot()->revision();
    result_.incidents = static_cast<int>(store_->snapshot()->count(kind_of<pb::Incident>()));
    result_.digest = digest_;
    return std::move(result_);
  }

 private:
  // --- chance ---
  int pick(int from, int to) {
    return from + static_cast<int>(random_() % static_cast<uint64_t>(to - from + 1));
  }
  bool chance(double share) { return static_cast<double>(random_() >> 11) * 0x1p-53 < share; }
  Agent& any() { return agents_[random_() % agents_.size()]; }
  MonoTime now() const { return clock_.mono(); }

  // --- the fleet ---
  void make_fleet() {
    agents_.resize(static_cast<size_t>(options_.agents));
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
      for (size_t i = 0; i < agents_.size(); ++i) {
        Agent& agent = agents_[i];
        agent.name = fmt::format("n{:04}", i);
        agent.region = static_cast<int>(i % kRegions);
        agent.next_beat = now() + milliseconds(pick(0, 1000));
        agent.reconnect_at = now() + milliseconds(pick(0, 2000));
        by_name_[agent.name] = static_cast<int>(i);
        pb::Node node;
        node.mutable_metadata()->set_name(agent.name);
        node.mutable_spec()->set_cluster(fmt::format("c{}", agent.region));
        node.mutable_spec()->set_address(fmt::format("10.0.{}.{}", i / 250, i % 250 + 1));
        node.mutable_status()->mutable_agent()->mutable_join_time()->set_seconds(1);
        node.mutable_status()->mutable_configuration()->set_version("1");
        transaction.put(node);
      }
      return {};
    });
    if (!made) violate("the fleet is not taken: " + made.error().text());
  }

  const pb::NodeHealth health(const Agent& agent) const {
    return store_->snapshot()->find<pb::Node>(agent.name)->status().health();
  }
  bool is_maintained(const Agent& agent) const {
    return store_->snapshot()->find<pb::Node>(agent.name)->spec().availability() ==
           pb::AVAILABILITY_MAINTENANCE;
  }
  // Whether packets of the node and the server arrive at each other.
  bool is_linked(const Agent& agent) const {
    return agent.powered && !agent.cut && !cut_regions_.contains(agent.region);
  }
  bool reaches(const Agent& a, const Agent& b) const {
    if (!a.powered || !b.powered) return false;
    return a.region == b.region ||
           (!cut_regions_.contains(a.region) && !cut_regions_.contains(b.region));
  }

  // --- the network ---
  void post(Message message, int agent) {
    const bool may_be_lost = is_lossy_;
    const bool is_beat = message.is_up && message.up.has_heartbeat();
    message.agent = agent;
    message.at = now() + milliseconds(pick(5, 50));
    message.order = ++result_.messages;
    if (may_be_lost && chance(loss_)) {
      // What is not a heartbeat is missed: the stream breaks.
      if (!is_beat)
        breaks_.emplace(now() + milliseconds(pick(100, 3000)), std::pair(agent, message.stream));
      return;
    }
    if (may_be_lost && chance(0.02)) message.at += milliseconds(pick(100, 3000));
    // A stream keeps its order: what is late holds up what follows.
    MonoTime& last = agents_[static_cast<size_t>(agent)].last[message.is_up ? 1 : 0];
    message.at = last = std::max(last, message.at);
    if (may_be_lost && chance(0.02)) {
      Message again = message;
      again.order = ++result_.messages;
      queue_.push(std::move(again));
    }
    queue_.push(std::move(message));
  }
  void say(Agent& agent, pb::AgentMessage up) {
    post({.stream = agent.stream, .is_up = true, .up = std::move(up), .down = {}},
         by_name_[agent.name]);
  }

  void deliver(Message message) {
    Agent& agent = agents_[static_cast<size_t>(message.agent)];
    if (!is_linked(agent)) return;
    if (message.is_up) {
      server_->receive(agent.name, message.stream, message.up);
      return;
    }
    if (agent.stream != message.stream) return;
    if (agent.frozen) {
      // It waits in the machine's buffers, before all that comes after it.
      agent.unread.push_back(std::move(message));
      return;
    }
    take(agent, message.down);
  }

  // --- the agents ---
  void take(Agent& agent, const pb::ServerMessage& message) {
    const auto set = [&](const pb::Welcome& welcome) {
      agent.interval = seconds(welcome.heartbeat_interval().seconds());
      agent.next_beat = std::min(agent.next_beat, now() + agent.interval);
    };
    if (message.has_welcome()) set(message.welcome());
    if (message.has_settings()) set(message.settings());
    if (message.has_plan()) apply(agent, message.plan());
    if (message.has_probe()) probe(agent, message.probe());
  }

  void apply(Agent& agent, const pb::PlanUpdate& plan) {
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

  void report(Agent& agent) {
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

  void probe(Agent& agent, const pb::ProbePeer& probe) {
    pb::AgentMessage message;
    message.mutable_probed()->set_node(probe.node());
    message.mutable_probed()->set_id(probe.id());
    const bool reachable = reaches(agent, agents_[static_cast<size_t>(by_name_[probe.node()])]);
    message.mutable_probed()->set_reachable(reachable);
    message.mutable_probed()->set_message(reachable ? "accepts connections" : "nothing answers");
    say(agent, std::move(message));
  }

  void live(Agent& agent) {
    if (!agent.powered || agent.frozen) return;
    for (; !agent.unread.empty(); agent.unread.pop_front())
      if (agent.unread.front().stream == agent.stream) take(agent, agent.unread.front().down);
    if (agent.stream == 0) {
      if (now() < agent.reconnect_at || !is_linked(agent)) return;
      agent.stream = server_->open(agent.name);
      pb::AgentMessage hello;
      hello.mutable_hello()->set_version("simulated");
      if (!agent.hash.empty())
        (*hello.mutable_hello()->mutable_section_hashes())["checks"] = agent.hash;
      say(agent, std::move(hello));
      report(agent);
      agent.next_beat = now();
      return;
    }
    if (now() < agent.next_beat) return;
    agent.next_beat = now() + agent.interval;
    pb::AgentMessage beat;
    beat.mutable_heartbeat()->set_sequence(++agent.sequence);
    beat.mutable_heartbeat()->mutable_time()->set_seconds(
        clock_.wall().time_since_epoch() / seconds(1) + agent.clock_off);
    say(agent, std::move(beat));
  }

  void disconnect(Agent& agent) {
    agent.stream = 0;
    agent.last[0] = agent.last[1] = now();
    agent.reconnect_at = now() + milliseconds(pick(200, 3000));
  }

  // --- time ---
  void pass(Duration time) {
    for (const MonoTime end = now() + time; now() < end;) {
      clock_.advance(kStep);
      while (!queue_.empty() && queue_.top().at <= now()) {
        Message message = queue_.top();
        queue_.pop();
        deliver(std::move(message));
      }
      while (!breaks_.empty() && breaks_.begin()->first <= now()) {
        const auto [agent, stream] = breaks_.begin()->second;
        breaks_.erase(breaks_.begin());
        if (agents_[static_cast<size_t>(agent)].stream == stream)
          disconnect(agents_[static_cast<size_t>(agent)]);
      }
      for (Agent& agent : agents_) live(agent);
      if (++steps_ % 4 == 0) {
        server_->step();
        watch();
      }
    }
  }

  // --- faults ---
  void fault() {
    switch (pick(0, 11)) {
      case 0:
      case 1:
        cut_power();
        break;
      case 2:
        any().frozen ^= true;
        break;
      case 3:
        toggle_cut(any());
        break;
      case 4:
        toggle_region();
        break;
      case 5:
        lose_many();
        break;
      case 6:
        toggle_check(any());
        break;
      case 7:
        flap();
        break;
      case 8:
        any().clock_off = chance(0.5) ? 86'400 : 0;
        break;
      case 9:
        lie(any());
        break;
      case 10:
        restart();
        break;
      default:
        toggle_maintenance(any());
        break;
    }
  }

  void cut_power() {
    Agent& agent = any();
    if (!agent.powered) return power_on(agent);
    const bool is_alone =
        !is_lossy_ && std::all_of(agents_.begin(), agents_.end(), [&](const Agent& other) {
          return is_linked(other) && !other.frozen && other.stream != 0 &&
                 health(other).state() == pb::HEALTH_HEALTHY && !is_maintained(other);
        });
    agent.powered = false;
    if (is_alone) detecting_ = {agent.name, now()};
    disconnect(agent);
  }
  void power_on(Agent& agent) {
    agent.powered = true;
    disconnect(agent);
  }
  void toggle_cut(Agent& agent) {
    agent.cut = !agent.cut;
    if (agent.cut) disconnect(agent);
  }
  void toggle_region() {
    const int region = pick(1, kRegions - 1);
    if (cut_regions_.erase(region) > 0) return;
    cut_regions_.insert(region);
    for (Agent& agent : agents_)
      if (agent.region == region) disconnect(agent);
  }
  void toggle_check(Agent& agent) {
    agent.failing = !agent.failing;
    if (agent.stream != 0 && agent.powered && !agent.frozen) report(agent);
  }
  void flap() {
    Agent& agent = any();
    for (int i = 0; i < 8; ++i) {
      toggle_check(agent);
      pass(milliseconds(pick(200, 2000)));
    }
  }
  void lie(Agent& agent) {
    if (agent.stream == 0 || agent.frozen || !agent.powered) return;
    for (int i = 0; i < 50; ++i) {
      pb::AgentMessage message;
      message.mutable_check()->set_instance(i % 2 == 0 ? fmt::format("x{}.{}", i, agent.name)
                                                       : "media." + any().name);
      message.mutable_check()->set_check(i % 2 == 0 ? "rtmp/tcp" : fmt::format("c{}", i));
      say(agent, std::move(message));
    }
  }
  void restart() {
    server_->restart();
    for (Agent& agent : agents_) disconnect(agent);
    restarted_ = now();
    // A node of which it knew that it was down may come back, and is not counted as lost.
    detecting_ = {};
  }
  void toggle_maintenance(const Agent& agent) {
    const auto done = store_->write("test", [&](Transaction& transaction) -> Status {
      pb::Node node = *transaction.snapshot().find<pb::Node>(agent.name);
      node.mutable_spec()->set_availability(is_maintained(agent) ? pb::AVAILABILITY_ACTIVE
                                                                 : pb::AVAILABILITY_MAINTENANCE);
      transaction.put(node);
      return {};
    });
    if (!done) violate("maintenance: " + done.error().text());
  }

  // Two in five of all nodes vanish at once: for as long as nothing else happens, and
  // the time of a hold is not over, none of them may be given up.
  void lose_many() {
    if (now() - restarted_ < seconds(20)) return;
    // In a network that holds up messages nobody is heard to vanish at once: it rests meanwhile.
    const bool was_lossy = std::exchange(is_lossy_, false);
    pass(seconds(6));
    lose_many_at_rest();
    is_lossy_ = was_lossy;
  }
  void lose_many_at_rest() {
    std::vector<Agent*> there;
    for (Agent& agent : agents_)
      if (is_linked(agent) && !agent.frozen && !is_maintained(agent) &&
          health(agent).state() == pb::HEALTH_HEALTHY && !health(agent).flapping())
        there.push_back(&agent);
    const size_t count = agents_.size() * 2 / 5;
    if (there.size() < count + 2) return;
    std::shuffle(there.begin(), there.end(), random_);
    for (size_t i = 0; i < count; ++i) {
      there[i]->powered = false;
      disconnect(*there[i]);
    }
    pass(seconds(20));
    for (size_t i = 0; i < count; ++i)
      if (health(*there[i]).state() == pb::HEALTH_DOWN)
        violate(fmt::format("{} of {} nodes vanished at once and {} was given up: {}", count,
                            there.size(), there[i]->name, health(*there[i]).reason()));
    if (!has_open("mass-loss")) violate("nodes vanished at once and there is no incident of it");
    const size_t stay = chance(0.5) ? 0 : static_cast<size_t>(pick(0, 2));
    for (size_t i = stay; i < count; ++i) power_on(*there[i]);
    pass(seconds(5));
  }

  void heal() {
    is_lossy_ = false;
    cut_regions_.clear();
    for (Agent& agent : agents_) {
      const bool was_away = !agent.powered || agent.cut;
      agent.powered = true;
      agent.frozen = agent.cut = false;
      agent.clock_off = 0;
      if (was_away) disconnect(agent);
      if (agent.failing) toggle_check(agent);
      if (is_maintained(agent)) toggle_maintenance(agent);
    }
    // What was on its way when the network was mended is late, not lost; streams that it broke are.
    pass(seconds(4));
  }

  // --- what must hold ---
  void violate(std::string what) {
    if (result_.violations.size() < 10)
      result_.violations.push_back(
          fmt::format("at {} ms: {}", now().time_since_epoch() / milliseconds(1), what));
  }
  bool has_open(const std::string& type) const {
    const auto open = open_incidents(*store_->snapshot());
    return std::any_of(open.begin(), open.end(),
                       [&](const auto& incident) { return incident->spec().type() == type; });
  }

  // After each step of the server.
  void watch() {
    const SnapshotPtr snapshot = store_->snapshot();
    digest_ = digest_ * 1099511628211ULL + static_cast<uint64_t>(snapshot->revision());
    if (!detecting_.first.empty()) {
      const auto& node = *snapshot->find<pb::Node>(detecting_.first);
      const Duration since = now() - detecting_.second;
      if (node.status().health().state() == pb::HEALTH_DOWN) {
        result_.detections_ms.push_back(since / milliseconds(1));
        if (since > seconds(3))
          violate(fmt::format("{} was down only after {} ms", detecting_.first,
                              since / milliseconds(1)));
        detecting_ = {};
      } else if (since > seconds(4)) {
        const Agent& agent = agents_[static_cast<size_t>(by_name_[detecting_.first])];
        if (!agent.powered)
          violate(fmt::format("{} is without power and not down after 4 s: {}", detecting_.first,
                              node.status().health().reason()));
        detecting_ = {};
      }
    }
    for (const Agent& agent : agents_) {
      Revision& seen = acknowledged_[agent.name];
      const Revision acknowledged = server_->acknowledged(agent.name);
      if (acknowledged < seen) violate(agent.name + " acknowledged less than before");
      if (acknowledged > agent.applied) violate(agent.name + " acknowledged what it does not have");
      seen = acknowledged;
    }
  }

  // Between two faults.
  void check_now() {
    const SnapshotPtr snapshot = store_->snapshot();
    for (const Agent& agent : agents_) {
      const auto& health = snapshot->find<pb::Node>(agent.name)->status().health();
      if (health.state() == pb::HEALTH_DOWN && !health.flapping() && agent.stream != 0 &&
          is_linked(agent) && !agent.frozen && now() - restarted_ > seconds(20))
        ++result_.false_alarms;
    }
    const size_t incidents = snapshot->count(kind_of<pb::Incident>());
    if (incidents > kClosedKept + 10 * agents_.size()) violate("incidents without bound");
  }

  void check_end() {
    const SnapshotPtr snapshot = store_->snapshot();
    for (const auto& node : snapshot->list<pb::Node>()) {
      const auto& health = node->status().health();
      if (health.state() != pb::HEALTH_HEALTHY || health.flapping() || health.partitioned())
        violate(fmt::format("{} is not healthy at the end: {}", node->metadata().name(),
                            health.reason()));
      if (!server_->converged(node->metadata().name()))
        violate(node->metadata().name() + " does not have its plan at the end");
    }
    for (const auto& instance : snapshot->list<pb::Instance>())
      if (instance->status().state() != pb::HEALTH_HEALTHY)
        violate(fmt::format("{} is not healthy at the end: {}", instance->metadata().name(),
                            instance->status().reason()));
    for (const auto& incident : open_incidents(*snapshot))
      violate(fmt::format("{} is still open: {}", incident->metadata().name(),
                          incident->spec().cause()));
    if (server_->counts().held != 0) violate("nodes are still held at the end");
    if (snapshot->list<pb::Instance>().size() != agents_.size()) violate("instances are missing");
  }

  const SimulationOptions options_;
  std::mt19937_64 random_;
  ManualClock clock_;
  std::unique_ptr<SyncStore> store_;
  std::vector<Agent> agents_;
  std::map<std::string, int> by_name_;
  std::set<int> cut_regions_;
  std::priority_queue<Message> queue_;
  std::multimap<MonoTime, std::pair<int, uint64_t>> breaks_;
  bool is_lossy_ = false;
  double loss_ = 0;
  int64_t steps_ = 0;
  MonoTime restarted_{};
  std::pair<std::string, MonoTime> detecting_;
  std::map<std::string, Revision> acknowledged_;
  uint64_t digest_ = 1469598103934665603ULL;
  SimulationResult result_;
  std::unique_ptr<SimulatedServer> server_;
};

}  // namespace

SimulationResult simulate(const SimulationOptions& options) { return World(options).run(); }

}  // namespace frameworks
