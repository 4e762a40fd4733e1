#include "runtime/health/health_write.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>

#include "runtime/health/checks_plan.h"

namespace frameworks {
namespace {

using google::protobuf::util::MessageDifferencer;

google::protobuf::Timestamp timestamp(WallTime time) {
  return google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

// Sets what a status says of health; false when nothing changed.
template <typename Status>
bool set_state(Status& status, const Verdict& verdict, WallTime now) {
  if (status.state() == verdict.state && status.reason() == verdict.reason &&
      status.flapping() == verdict.flapping)
    return false;
  if (status.state() != verdict.state) *status.mutable_since() = timestamp(now);
  status.set_state(verdict.state);
  status.set_reason(verdict.reason);
  status.set_flapping(verdict.flapping);
  return true;
}

bool blames_node(const std::string& reason) { return reason.starts_with("node "); }

}  // namespace

bool Competence::holds(Transaction& transaction, const pb::Node& node) const {
  if (is_sole) return true;
  return node.status().agent().server() == server && (fence == nullptr || fence(transaction));
}

void HealthWrite::write(const std::string& name, const Competence& competence) {
  const auto state = known_->with([&](KnownHealth& known) {
    known.queued.erase(name);
    return known.nodes.state(name);
  });
  const auto* stored = transaction_.snapshot().find<pb::Node>(name);
  if (stored == nullptr || !competence.holds(transaction_, *stored)) return;
  if (state == pb::HEALTH_UNSPECIFIED) return;  // not judged by this server after all
  const pb::Node node = *stored;
  if (state != pb::HEALTH_UNKNOWN) write_node(node);
  for (const auto& instance : transaction_.snapshot().find_by<pb::Instance>("node", name))
    write_instance(node, *instance, state);
}

void HealthWrite::write_node(const pb::Node& stored) {
  const std::string& name = stored.metadata().name();
  pb::NodeHealth health = stored.status().health();
  Verdict verdict;
  const bool is_known = known_->with([&](const KnownHealth& known) {
    const auto told = known.told.find(name);
    const auto condition = known.conditions.find(name);
    const bool has_condition = condition != known.conditions.end();
    if (told == known.told.end() && !has_condition) return false;
    verdict.state = known.nodes.state(name);
    verdict.reason = "heartbeats arrive";
    Silence silence = Silence::kNone;
    if (told != known.told.end()) {
      verdict.reason = told->second.reason;
      verdict.flapping = told->second.flapping;
      silence = told->second.silence;
    }
    health.set_partitioned(silence == Silence::kPartitioned);
    health.set_agent_silent(silence == Silence::kAgentOnly);
    health.set_held(silence == Silence::kHeld);
    health.clear_saturated();
    health.set_clock_off(false);
    if (!has_condition || verdict.state == pb::HEALTH_DOWN) return true;
    health.set_clock_off(condition->second.has_wrong_clock());
    for (std::string& what : condition->second.saturated()) health.add_saturated(std::move(what));
    const std::string complaint = condition->second.complaint();
    if (verdict.state == pb::HEALTH_HEALTHY && !complaint.empty()) {
      verdict.state = pb::HEALTH_DEGRADED;
      verdict.reason = complaint;
    }
    return true;
  });
  if (!is_known) return;
  set_state(health, verdict, transaction_.time());
  if (MessageDifferencer::Equals(health, stored.status().health())) return;
  pb::Node node = stored;
  *node.mutable_status()->mutable_health() = std::move(health);
  transaction_.put(std::move(node));
}

void HealthWrite::write_instance(const pb::Node& node, const pb::Instance& stored,
                                 pb::Health node_state) {
  Verdict verdict = verdict_of(node, stored, node_state);
  // Without every check's report (as after a restart of the server) the last word stands, unless
  // it blamed the node.
  if (verdict.state == pb::HEALTH_UNKNOWN && stored.status().state() != pb::HEALTH_UNSPECIFIED &&
      !blames_node(stored.status().reason()))
    return;
  if (!blames_node(verdict.reason))
    verdict =
        known_->with([&](KnownHealth& known) { return damped(known, stored, std::move(verdict)); });
  pb::Instance instance = stored;
  if (set_state(*instance.mutable_status(), verdict, transaction_.time()))
    transaction_.put(std::move(instance));
}

Verdict HealthWrite::verdict_of(const pb::Node& node, const pb::Instance& instance,
                                pb::Health node_state) {
  const std::string& name = node.metadata().name();
  if (node_state == pb::HEALTH_DOWN) return {pb::HEALTH_DOWN, fmt::format("node {} is down", name)};
  if (node_state != pb::HEALTH_HEALTHY && node_state != pb::HEALTH_SUSPECT)
    return {pb::HEALTH_UNKNOWN, fmt::format("node {} has not been heard yet", name)};
  const auto checks = plan_instance_checks(transaction_.snapshot(), node, instance);
  return known_->with([&](KnownHealth& known) {
    const auto at = known.reports.find(instance.metadata().name());
    if (at == known.reports.end()) return judge(checks, nullptr);
    // Who is not heard any more no longer looks.
    for (auto& [check, words] : at->second.outside)
      std::erase_if(words, [&](const auto& word) {
        return known.nodes.state(word.first) == pb::HEALTH_DOWN;
      });
    return judge(checks, &at->second);
  });
}

Verdict HealthWrite::damped(KnownHealth& known, const pb::Instance& stored, Verdict found) const {
  const auto at = known.reports.find(stored.metadata().name());
  if (at == known.reports.end()) return found;
  InstanceReports& reports = at->second;
  const FlapDamper::Limits& limits = known.times.flaps;
  const bool is_worse = found.state > reports.found && reports.found != pb::HEALTH_UNSPECIFIED;
  if (is_worse && found.state >= pb::HEALTH_DEGRADED)
    reports.flaps.fall(now_, found.state == pb::HEALTH_DOWN ? 1 : 0.5, limits);
  reports.found = found.state;
  if (!reports.flaps.flapping(now_, limits)) {
    known.flapping.erase(at->first);
    return found;
  }
  known.flapping.insert(at->first);
  found.flapping = true;
  if (found.state < stored.status().state() && !blames_node(stored.status().reason())) {
    found.state = stored.status().state();
    found.reason = "flapping: fails again and again; held until it is calm";
  }
  return found;
}

}  // namespace frameworks
