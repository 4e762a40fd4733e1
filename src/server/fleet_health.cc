#include "server/fleet_health.h"

#include <fmt/format.h>

#include <map>

#include "base/log.h"
#include "frameworks/v1/operation.pb.h"

namespace frameworks {
namespace {

Duration duration_of(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

}  // namespace

Result<std::unique_ptr<FleetHealth>> FleetHealth::start(Store& store, Clock& clock, WebClient& web,
                                                        const Options& options) {
  std::unique_ptr<FleetHealth> out(new FleetHealth(store, clock, web));
  const auto add = [&](Receiver::Form form, const std::vector<std::string>& given) -> Status {
    for (size_t i = 0; i < given.size(); ++i) {
      ASSIGN_OR_RETURN(Receiver receiver, parse_receiver(form, given[i], static_cast<int>(i) + 1));
      out->receivers_.push_back(std::move(receiver));
    }
    return {};
  };
  RETURN_IF_ERROR(add(Receiver::Form::kWebhook, options.webhooks));
  RETURN_IF_ERROR(add(Receiver::Form::kAlertmanager, options.alertmanagers));

  HealthMonitor::Options watch;
  watch.times.interval = options.heartbeat;
  watch.lease = options.lease;
  watch.ask = [sessions = out->sessions_](const std::string& peer, const pb::ProbePeer& probe) {
    pb::ServerMessage message;
    *message.mutable_probe() = probe;
    // Under the lock, so that the sessions are there; send() calls nobody who asks.
    return sessions->with(
        [&](Sessions* there) { return there != nullptr && there->send(peer, std::move(message)); });
  };
  FleetHealth* self = out.get();
  if (!options.simulated) {
    out->reach_ = ReachDesk::start(clock);
    watch.look = [self](const pb::ProbePeer& probe) {
      pb::ProbeResult result;
      result.set_node(probe.node());
      result.set_id(probe.id());
      const auto answer = [self, result](const Reach& reach) mutable {
        result.set_reachable(reach.reachable);
        result.set_message(reach.how);
        self->monitor_->probed("", result);
      };
      self->reach_->look({probe.targets().begin(), probe.targets().end()},
                         duration_of(probe.timeout()), answer);
    };
  }
  ASSIGN_OR_RETURN(out->monitor_, HealthMonitor::start(store, clock, std::move(watch)));
  return out;
}

FleetHealth::~FleetHealth() {
  // The monitor's thread asks the desk, whose thread answers to the monitor.
  keep_incidents(nullptr);
  monitor_->stop();
  reach_ = nullptr;
}

void FleetHealth::listen(Sessions::Options& options,
                         std::function<bool(const std::string&)> is_unplugged) {
  HealthMonitor& monitor = *monitor_;
  options.on_alive = [&monitor, is_unplugged](const std::string& node) {
    if (!is_unplugged(node)) monitor.heartbeat(node);
  };
  options.on_heartbeat = [&monitor, is_unplugged](const std::string& node,
                                                  const pb::Heartbeat& heartbeat) {
    if (!is_unplugged(node)) monitor.heartbeat(node, heartbeat);
  };
  options.on_check = [&monitor, is_unplugged](const std::string& node,
                                              const pb::CheckReport& report) {
    if (!is_unplugged(node)) monitor.report(node, report);
  };
  options.on_probed = [&monitor](const std::string& node, const pb::ProbeResult& result) {
    monitor.probed(node, result);
  };
  options.on_interval = [&monitor](const std::string& node, Duration interval) {
    monitor.expect(node, interval);
  };
}

void FleetHealth::ask_by(Sessions* sessions) {
  sessions_->with([&](Sessions*& there) { there = sessions; });
}

void FleetHealth::keep_incidents(Store* fenced) {
  keeper_ = nullptr;
  notifier_.with([](auto& notifier) { return std::exchange(notifier, nullptr); });
  if (fenced == nullptr) return;
  auto keeper = IncidentKeeper::start(*fenced, clock_, {});
  if (!keeper) return spdlog::error("incidents: {}", keeper.error().text());
  keeper_ = std::move(*keeper);
  if (receivers_.empty()) return;
  auto notifier = Notifier::start(*fenced, clock_, web_, {.receivers = receivers_});
  if (!notifier) return spdlog::error("notifications: {}", notifier.error().text());
  notifier_.with([&](auto& place) { place = std::move(*notifier); });
}

void FleetHealth::add_metrics(Metrics& metrics) {
  using Samples = std::vector<Metrics::Sample>;
  const auto add = [&](const char* name, auto value) {
    metrics.add(name, [this, value] {
      return Samples{{"", static_cast<double>(value(monitor_->counts()))}};
    });
  };
  using Counts = HealthMonitor::Counts;
  add("quartermaster_health_nodes_held", [](const Counts& counts) { return counts.held; });
  add("quartermaster_health_instances_flapping",
      [](const Counts& counts) { return counts.flapping; });
  add("quartermaster_health_questions_total", [](const Counts& counts) { return counts.asked; });
  add("quartermaster_health_reports_refused_total",
      [](const Counts& counts) { return counts.refused; });
  metrics.add("quartermaster_incidents_open", [this] {
    std::map<std::string, int> count;
    for (const auto& incident : store_.snapshot()->find_by<pb::Incident>("state", "open"))
      ++count[incident->spec().type()];
    Samples out;
    for (const auto& [type, open] : count)
      out.push_back({fmt::format("type=\"{}\"", type), static_cast<double>(open)});
    return out;
  });
  metrics.add("quartermaster_notifications_total", [this] {
    const auto notifier = notifier_.with([](const auto& place) { return place; });
    if (notifier == nullptr) return Samples{};
    const Notifier::Counts counts = notifier->counts();
    return Samples{{"result=\"told\"", static_cast<double>(counts.told)},
                   {"result=\"failed\"", static_cast<double>(counts.failed)}};
  });
}

}  // namespace frameworks
