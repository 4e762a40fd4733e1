#include "runtime/health/health_monitor.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <map>
#include <set>
#include <thread>

#include "base/locked.h"
#include "base/log.h"
#include "model/words.h"
#include "runtime/health/checks_plan.h"

namespace frameworks {
namespace {

constexpr const char* kActor = "system/health";

struct CheckState {
  bool healthy = false;
  std::string reason;
};
using ReportsByCheck = std::map<std::string, CheckState>;

// Everything the monitor knows beyond the store; shared with writes that are under way.
struct Known {
  Known(HealthTimes times, MonoTime start) : nodes(times, start) {}
  NodeHealthTable nodes;  // that this server judges
  // Of every node of the store, the server of its stream.
  std::map<std::string, std::string, std::less<>> servers;
  std::map<std::string, std::string, std::less<>> reasons;     // by node
  std::map<std::string, ReportsByCheck, std::less<>> reports;  // by instance
};

struct Verdict {
  pb::Health state = pb::HEALTH_UNKNOWN;
  std::string reason;
};

google::protobuf::Timestamp timestamp(WallTime time) {
  return google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

// The state of an instance whose node answers.
Verdict judge(const pb::InstanceChecks& checks, const ReportsByCheck* reports) {
  if (checks.probes().empty())
    return {pb::HEALTH_HEALTHY, "its node is healthy; no checks declared"};
  std::string waiting;
  for (const auto& probe : checks.probes()) {
    const auto at =
        reports == nullptr ? ReportsByCheck::const_iterator{} : reports->find(probe.name());
    if (reports == nullptr || at == reports->end()) {
      waiting = fmt::format("check {} has not reported yet", probe.name());
    } else if (!at->second.healthy) {
      return {pb::HEALTH_DOWN, fmt::format("check {}: {}", probe.name(), at->second.reason)};
    }
  }
  if (!waiting.empty()) return {pb::HEALTH_UNKNOWN, waiting};
  return {pb::HEALTH_HEALTHY, "all checks pass"};
}

// Sets state and reason in a status that has both and `since`; false when nothing changed.
template <typename Status>
bool set_state(Status& status, const Verdict& verdict, WallTime now) {
  if (status.state() == verdict.state && status.reason() == verdict.reason) return false;
  if (status.state() != verdict.state) *status.mutable_since() = timestamp(now);
  status.set_state(verdict.state);
  status.set_reason(verdict.reason);
  return true;
}

// On what ground this server judges a node; holds when the transaction sees the same.
struct Competence {
  std::string server;  // of the node's stream
  Edit fence;          // null: that is this server, or it is alone
  bool is_sole = false;

  [[nodiscard]] bool holds(Transaction& transaction, const pb::Node& node) const {
    if (is_sole) return true;
    return node.status().agent().server() == server && (fence == nullptr || fence(transaction));
  }
};

// Writes the health of a node and of its instances as it is known now. Runs on the store's writer.
class HealthWrite {
 public:
  HealthWrite(Transaction& transaction, std::shared_ptr<Locked<Known>> known)
      : transaction_(transaction), known_(std::move(known)) {}

  void write(const std::string& name, const Competence& competence) {
    const auto* stored = transaction_.snapshot().find<pb::Node>(name);
    if (stored == nullptr || !competence.holds(transaction_, *stored)) return;
    pb::Node node = *stored;
    const Verdict verdict = known_->with([&](Known& known) {
      const auto reason = known.reasons.find(name);
      return Verdict{known.nodes.state(name),
                     reason == known.reasons.end() ? std::string() : reason->second};
    });
    if (verdict.state == pb::HEALTH_UNSPECIFIED) return;  // not judged by this server after all
    if (verdict.state != pb::HEALTH_UNKNOWN && !verdict.reason.empty() &&
        set_state(*node.mutable_status()->mutable_health(), verdict, transaction_.time()))
      transaction_.put(node);
    for (const auto& instance : transaction_.snapshot().find_by<pb::Instance>("node", name))
      write_instance(node, *instance, verdict.state);
  }

 private:
  void write_instance(const pb::Node& node, const pb::Instance& stored, pb::Health node_state) {
    pb::Instance instance = stored;
    const Verdict verdict = verdict_of(node, stored, node_state);
    // Without every check's report (as after a restart of the server) the last word stands, unless
    // it blamed the node.
    const bool blamed_node = stored.status().reason().starts_with("node ");
    if (verdict.state == pb::HEALTH_UNKNOWN && stored.status().state() != pb::HEALTH_UNSPECIFIED &&
        !blamed_node)
      return;
    if (set_state(*instance.mutable_status(), verdict, transaction_.time()))
      transaction_.put(std::move(instance));
  }

  Verdict verdict_of(const pb::Node& node, const pb::Instance& instance, pb::Health node_state) {
    const std::string& name = node.metadata().name();
    if (node_state == pb::HEALTH_DOWN)
      return {pb::HEALTH_DOWN, fmt::format("node {} is down", name)};
    if (node_state != pb::HEALTH_HEALTHY && node_state != pb::HEALTH_SUSPECT)
      return {pb::HEALTH_UNKNOWN, fmt::format("node {} has not been heard yet", name)};
    const auto checks = plan_instance_checks(transaction_.snapshot(), node, instance);
    return known_->with([&](Known& known) {
      const auto reports = known.reports.find(instance.metadata().name());
      return judge(checks, reports == known.reports.end() ? nullptr : &reports->second);
    });
  }

  Transaction& transaction_;
  std::shared_ptr<Locked<Known>> known_;
};

class Monitor final : public HealthMonitor {
 public:
  Monitor(Store& store, Clock& clock, HealthTimes times, const Lease* lease)
      : store_(store),
        clock_(clock),
        times_(times),
        lease_(lease),
        known_(std::make_shared<Locked<Known>>(times, clock.mono())) {}

  ~Monitor() override {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  Status begin() {
    RETURN_IF_ERROR(resubscribe());
    thread_ = std::jthread([this](std::stop_token stop) { watch(stop); });
    return {};
  }

  void heartbeat(std::string_view node) override {
    apply(known_->with([&](Known& known) { return known.nodes.heartbeat(node, clock_.mono()); }));
  }

  void report(std::string_view node, const pb::CheckReport& report) override {
    // Instances are named <service>.<node>.
    if (!report.instance().ends_with(std::string(".").append(node))) return;
    known_->with([&](Known& known) {
      known.reports[report.instance()][report.check()] = {report.healthy(), report.reason()};
    });
    write(std::string(node));
  }

 private:
  Status resubscribe() {
    const SnapshotPtr snapshot = store_.snapshot();
    ASSIGN_OR_RETURN(subscription_, store_.subscribe(snapshot->revision(), [] {}));
    known_->with([&](Known& known) {
      for (const auto& node : snapshot->list<pb::Node>()) {
        const std::string& server = node->status().agent().server();
        known.servers[node->metadata().name()] = server;
        if (judges(server))
          known.nodes.add(node->metadata().name(), node->status().health().state());
      }
    });
    return {};
  }

  // Whether nodes whose stream is with `server` are this one's to judge.
  [[nodiscard]] bool judges(const std::string& server) const {
    return lease_ == nullptr || server == lease_->server() ||
           (lease_->held() && !lease_->is_alive(server));
  }

  void watch(std::stop_token stop) {
    while (clock_.sleep_for(times_.tick(), stop)) {
      follow_store();
      if (lease_ != nullptr) follow_servers();
      apply(known_->with([&](Known& known) { return known.nodes.tick(clock_.mono()); }));
    }
  }

  // Takes up the nodes of servers that died, while it holds the lease, and leaves those of others.
  void follow_servers() {
    std::map<std::string, bool> judged;  // by server
    std::vector<std::string> taken_up;
    const SnapshotPtr snapshot = store_.snapshot();
    const MonoTime now = clock_.mono();
    known_->with([&](Known& known) {
      for (const auto& [name, server] : known.servers) {
        const auto [at, is_new] = judged.try_emplace(server, false);
        if (is_new) at->second = judges(server);
        const bool had = known.nodes.state(name) != pb::HEALTH_UNSPECIFIED;
        if (had == at->second) continue;
        if (had) {
          known.nodes.remove(name);
          continue;
        }
        const auto* node = snapshot->find<pb::Node>(name);
        if (node == nullptr) continue;
        known.nodes.add(name, node->status().health().state(), now);
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
      known_->with([&](Known& known) { known.reports.erase(change.key.name); });
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
      known_->with([&](Known& known) {
        known.nodes.remove(name);
        known.reasons.erase(name);
        known.servers.erase(name);
      });
      return;
    }
    const auto& status = change.after.as<pb::Node>().status();
    const std::string& server = status.agent().server();
    const MonoTime now = clock_.mono();
    apply(known_->with([&](Known& known) -> std::vector<HealthTransition> {
      const auto [at, is_new] = known.servers.try_emplace(name, server);
      const bool came = at->second != server;
      at->second = server;
      if (!judges(server)) {
        known.nodes.remove(name);
        return {};
      }
      known.nodes.add(name, is_new ? pb::HEALTH_UNKNOWN : status.health().state(), now);
      // Another server may have said something else, before this one had the node.
      const pb::Health state = known.nodes.state(name);
      if (lease_ != nullptr && state != pb::HEALTH_UNKNOWN && state != status.health().state())
        touched.insert(name);
      // Its stream was opened here: a sign of life that came before its being ours.
      if (!came || lease_ == nullptr || server != lease_->server()) return {};
      touched.insert(name);
      return known.nodes.heartbeat(name, now);
    }));
  }

  void apply(const std::vector<HealthTransition>& transitions) {
    for (const HealthTransition& transition : transitions) {
      spdlog::info("health: node {} is {}: {}", transition.node, word(transition.state),
                   transition.reason);
      known_->with([&](Known& known) { known.reasons[transition.node] = transition.reason; });
      write(transition.node);
    }
  }

  // Nothing where this server does not judge the node.
  std::optional<Competence> competence(const std::string& node) {
    if (lease_ == nullptr) return Competence{.server = "", .fence = nullptr, .is_sole = true};
    const std::string server = known_->with([&](const Known& known) {
      const auto at = known.servers.find(node);
      return at == known.servers.end() ? std::string() : at->second;
    });
    if (!judges(server)) return std::nullopt;
    if (server == lease_->server()) return Competence{server, nullptr};
    return Competence{server, lease_->fenced([](Transaction&) -> Status { return {}; })};
  }

  void write(const std::string& node) {
    const auto competent = competence(node);
    if (!competent) return;
    store_.write_async(
        kActor,
        [known = known_, node, competence = *competent](Transaction& transaction) -> Status {
          HealthWrite(transaction, known).write(node, competence);
          return {};
        },
        [node](const Result<Committed>& done) {
          if (!done) spdlog::error("health: write of node {}: {}", node, done.error().text());
        });
  }

  Store& store_;
  Clock& clock_;
  HealthTimes times_;
  const Lease* const lease_;
  std::shared_ptr<Locked<Known>> known_;
  std::unique_ptr<Subscription> subscription_;  // the thread's
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<HealthMonitor>> HealthMonitor::start(Store& store, Clock& clock,
                                                            HealthTimes times, const Lease* lease) {
  auto monitor = std::make_unique<Monitor>(store, clock, times, lease);
  RETURN_IF_ERROR(monitor->begin());
  return std::unique_ptr<HealthMonitor>(std::move(monitor));
}

}  // namespace frameworks
