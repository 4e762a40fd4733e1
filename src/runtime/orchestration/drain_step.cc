#include "runtime/orchestration/drain_step.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/tenant.pb.h"
#include "model/availability.h"
#include "runtime/orchestration/obstacle.h"
#include "runtime/orchestration/rollout_batch.h"

namespace frameworks {
namespace {

// What is still on the node.
struct Left {
  int64_t sessions = 0;
  int instances = 0;
  std::string by_instance;  // "media.us-edge-1 has 3 sessions"
  std::string unknown;      // an instance whose agent has not told yet
};

std::string counted_text(int64_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

Left left_on(const Snapshot& snapshot, const pb::Node& node) {
  Left left;
  // Nobody is on a node that is down, or was never heard, and nobody will tell.
  const pb::Health state = node.status().health().state();
  const bool is_away = state == pb::HEALTH_DOWN || state == pb::HEALTH_UNKNOWN ||
                       state == pb::HEALTH_UNSPECIFIED ||
                       node.status().machine().state() == pb::MACHINE_STATE_STOPPED;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name())) {
    const auto* service = snapshot.find<pb::Service>(instance->spec().service());
    if (service == nullptr) continue;
    const std::string& name = instance->metadata().name();
    if (is_counted(service->spec().placement()) && !keeps_instances(node)) ++left.instances;
    if (!service->spec().has_drain_check() || is_away) continue;
    const int64_t sessions = instance->status().sessions();
    if (sessions == kSessionsUnknown) left.unknown = name;
    if (sessions <= 0) continue;
    left.sessions += sessions;
    left.by_instance += fmt::format("{}{} has {}", left.by_instance.empty() ? "" : ", ", name,
                                    counted_text(sessions, "session", "sessions"));
  }
  return left;
}

std::string left_text(const Left& left) {
  std::string out = left.by_instance;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
  if (!left.unknown.empty()) add(left.unknown + " has not told its sessions yet");
  if (left.instances > 0)
    add(counted_text(left.instances, "instance has still to move", "instances have still to move"));
  return out;
}

}  // namespace

DrainStep next_drain_step(const Snapshot& snapshot, const pb::Node& node, WallTime now) {
  DrainStep step;
  if (takes_work(node)) return step;
  pb::DrainStatus& status = step.status;
  status = node.status().drain();
  if (status.state() == pb::DRAIN_STATE_UNSPECIFIED) {
    status.set_state(pb::DRAIN_STATE_LEAVING);
    *status.mutable_start_time() = batch_time(now);
    status.set_message("tenants are no longer sent to it");
    step.again = kLeaving;
    return step;
  }
  if (status.state() == pb::DRAIN_STATE_LEAVING) {
    const Duration wait = time_of(status.start_time()) + kLeaving - now;
    if (wait > Duration::zero()) {
      step.again = wait;
      return step;
    }
    for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name())) {
      const auto* service = snapshot.find<pb::Service>(instance->spec().service());
      if (service != nullptr && service->spec().has_drain_check())
        step.ask.push_back(instance->metadata().name());
    }
    status.set_state(pb::DRAIN_STATE_WAITING);
    step.again = std::chrono::milliseconds(1);
    return step;
  }
  const Left left = left_on(snapshot, node);
  status.set_sessions(left.sessions);
  status.set_instances(left.instances);
  status.set_message(left_text(left));
  if (status.message().empty()) {
    status.set_state(pb::DRAIN_STATE_DRAINED);
    if (!status.has_end_time()) *status.mutable_end_time() = batch_time(now);
    return step;
  }
  status.clear_end_time();
  status.set_state(pb::DRAIN_STATE_WAITING);
  if (!node.spec().has_drain_deadline()) return step;
  const Duration wait = time_of(node.spec().drain_deadline()) - now;
  if (wait > Duration::zero()) {
    step.again = wait;
    return step;
  }
  status.set_state(pb::DRAIN_STATE_EXPIRED);
  *status.mutable_end_time() = node.spec().drain_deadline();
  return step;
}

std::optional<Duration> note_drain(Transaction& transaction, const std::string& name) {
  const auto* found = transaction.snapshot().find<pb::Node>(name);
  if (found == nullptr) return {};
  pb::Node node = *found;
  DrainStep step = next_drain_step(transaction.snapshot(), node, transaction.time());
  const pb::Node before = node;
  if (step.status.state() == pb::DRAIN_STATE_UNSPECIFIED)
    node.mutable_status()->clear_drain();
  else
    *node.mutable_status()->mutable_drain() = step.status;
  if (!google::protobuf::util::MessageDifferencer::Equals(before, node)) transaction.put(node);
  const bool ends = takes_work(node);
  for (const auto& each : transaction.snapshot().find_by<pb::Instance>("node", name)) {
    const std::string& instance_name = each->metadata().name();
    const bool ask = std::find(step.ask.begin(), step.ask.end(), instance_name) != step.ask.end();
    const int64_t sessions = ask ? kSessionsUnknown : ends ? 0 : each->status().sessions();
    if (sessions == each->status().sessions()) continue;
    pb::Instance instance = *each;
    instance.mutable_status()->set_sessions(sessions);
    transaction.put(std::move(instance));
  }
  return step.again;
}

ToldSessions new_sessions(const Snapshot& snapshot, const std::string& name,
                          const pb::Heartbeat& heartbeat) {
  ToldSessions out;
  if (heartbeat.sessions().empty()) return out;
  const auto* node = snapshot.find<pb::Node>(name);
  if (node == nullptr || takes_work(*node)) return out;
  // By what it has, not by what it says: that may be any number of names.
  snapshot.scan_by(kind_of<pb::Instance>(), "node", name, [&](const Resource& resource) {
    const auto told = heartbeat.sessions().find(resource.name());
    if (told == heartbeat.sessions().end() || told->second < 0) return true;
    const int64_t sessions = std::min(told->second, kMostSessions);
    if (resource.as<pb::Instance>().status().sessions() != sessions)
      out.emplace_back(resource.name(), sessions);
    return true;
  });
  return out;
}

void note_sessions(Transaction& transaction, const std::string& name, const ToldSessions& told) {
  const auto* node = transaction.snapshot().find<pb::Node>(name);
  if (node == nullptr || takes_work(*node)) return;
  for (const auto& [about, sessions] : told) {
    const auto* found = transaction.snapshot().find<pb::Instance>(about);
    if (found == nullptr || found->spec().node() != name) continue;
    pb::Instance instance = *found;
    instance.mutable_status()->set_sessions(sessions);
    transaction.put(std::move(instance));
  }
}

std::string sessions_source(const pb::Service& service, const pb::Node& node) {
  const pb::ServiceSpec& spec = service.spec();
  const bool waits = node.status().drain().state() != pb::DRAIN_STATE_UNSPECIFIED &&
                     node.status().drain().state() != pb::DRAIN_STATE_LEAVING;
  if (!spec.has_drain_check() || takes_work(node) || !waits) return {};
  const pb::DrainCheck& check = spec.drain_check();
  if (check.port().empty()) return "agent";
  for (const pb::Port& port : spec.ports()) {
    if (port.name() != check.port()) continue;
    const std::string& address = port.exposure() == pb::EXPOSURE_PUBLIC ? node.spec().address()
                                 : port.exposure() == pb::EXPOSURE_NODE
                                     ? std::string("127.0.0.1")
                                     : node.spec().mesh_address();
    return fmt::format("http://{}:{}{}", address, port.port(),
                       check.path().empty() ? "/" : check.path());
  }
  return {};
}

bool gives_up_sessions(const pb::Node& node) {
  return !takes_work(node) && node.status().drain().state() == pb::DRAIN_STATE_EXPIRED;
}

namespace {

// Tenants that were sent to the node: those with a grant on its cluster, where it serves tenants.
int tenants_sent_to(const Snapshot& snapshot, const pb::Node& node) {
  bool serves = false;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name())) {
    const auto* service = snapshot.find<pb::Service>(instance->spec().service());
    serves |= service != nullptr && service->spec().tenant_facing();
  }
  if (!serves) return 0;
  int count = 0;
  snapshot.scan_by(kind_of<pb::Grant>(), "cluster", node.spec().cluster(), [&](const Resource&) {
    ++count;
    return true;
  });
  return count;
}

std::string drain_summary(const Snapshot& before, const Snapshot& after, const pb::Node& was,
                          const pb::Node& is) {
  const std::string& name = is.metadata().name();
  std::string moves;
  std::string waits;
  int stay = 0;
  for (const auto& instance : before.find_by<pb::Instance>("node", name)) {
    const std::string& service = instance->spec().service();
    const auto* found = after.find<pb::Service>(service);
    const bool leaves = after.find<pb::Instance>(instance->metadata().name()) == nullptr;
    if (leaves)
      moves += (moves.empty() ? "" : ", ") + service;
    else
      ++stay;
    if (!leaves && found != nullptr && found->spec().has_drain_check())
      waits += (waits.empty() ? "" : ", ") + service;
  }
  std::string out =
      fmt::format("{} on it: {} no longer sent to it",
                  is.spec().availability() == pb::AVAILABILITY_MAINTENANCE ? "somebody is at work"
                                                                           : "no new work",
                  counted_text(tenants_sent_to(before, was), "tenant is", "tenants are"));
  if (!moves.empty()) out += fmt::format("; {} leave it", moves);
  if (!waits.empty()) {
    out += fmt::format("; sessions of {} are waited for", waits);
    if (is.spec().has_drain_deadline()) out += ", until the deadline";
  }
  if (stay > 0)
    out += fmt::format("; {} on it", counted_text(stay, "instance stays", "instances stay"));
  return out;
}

}  // namespace

std::vector<pb::PlanStep> explain_drains(const Snapshot& before, const Snapshot& after,
                                         std::span<const ResourceKey> changed) {
  std::vector<pb::PlanStep> steps;
  for (const ResourceKey& key : changed) {
    if (key.kind != "Node") continue;
    const auto* node = after.find<pb::Node>(key.name);
    const auto* was = before.find<pb::Node>(key.name);
    if (node == nullptr) continue;
    const auto availability = node->spec().availability();
    if (was == nullptr || was->spec().availability() == availability ||
        (takes_work(*was) && takes_work(*node)))
      continue;
    pb::PlanStep& step = steps.emplace_back();
    step.set_layer("runtime");
    step.set_object("Node/" + node->metadata().name());
    step.set_action(takes_work(*node)                              ? "resume"
                    : availability == pb::AVAILABILITY_MAINTENANCE ? "maintain"
                                                                   : "drain");
    step.set_summary(takes_work(*node) ? "tenants are sent to it again"
                                       : drain_summary(before, after, *was, *node));
  }
  return steps;
}

}  // namespace frameworks
