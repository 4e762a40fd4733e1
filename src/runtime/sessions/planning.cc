#include "runtime/sessions/planning.h"

#include "base/log.h"

namespace frameworks {
namespace {

constexpr size_t kBatch = 10'000;
constexpr Duration kTick = std::chrono::milliseconds(500);
const SectionSet kWhole = SectionSet().set();

}  // namespace

Planning::~Planning() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Status Planning::start() {
  RETURN_IF_ERROR(plan_everything());
  thread_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
  return {};
}

Status Planning::plan_everything() {
  const SnapshotPtr snapshot = store_.snapshot();
  ASSIGN_OR_RETURN(subscription_, store_.subscribe(snapshot->revision(), [this] { poke(); }));
  Affected nodes;
  for (const auto& node : snapshot->list<pb::Node>()) nodes[node->metadata().name()] = kWhole;
  table_.with([&](SessionTable& table) {
    for (const auto& [name, entry] : table.nodes) nodes[name] = kWhole;
  });
  plan_nodes(*snapshot, nodes, snapshot->revision(), clock_.wall());
  return {};
}

void Planning::poke() {
  {
    std::lock_guard lock(wake_mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

void Planning::follow(const std::stop_token& stop) {
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
void Planning::keep_pace() {
  std::vector<std::pair<std::string, std::function<void()>>> told;
  Duration interval{};
  table_.with([&](SessionTable& table) {
    if (!table.pace.update(static_cast<size_t>(table.connected))) return;
    interval = table.pace.interval();
    for (auto& [name, entry] : table.nodes) {
      if (entry.stream_id == 0) continue;
      entry.session.set_interval(interval);
      told.emplace_back(name, entry.stream.poke);
    }
  });
  if (told.empty()) return;
  spdlog::info("sessions: {} nodes send a heartbeat every {} s from now on", told.size(),
               interval / std::chrono::seconds(1));
  for (const auto& [name, poke] : told) {
    if (on_interval_) on_interval_(name, interval);
    if (poke) poke();
  }
}

// True when there may be more.
bool Planning::plan_changes() {
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
  table_.with([&](SessionTable& table) {
    table.planned = std::max(table.planned, changes->back().revision);
  });
  return true;
}

// Nodes that connected are planned as of now.
void Planning::plan_opened() {
  const auto names =
      table_.with([](SessionTable& table) { return std::exchange(table.opened, {}); });
  if (names.empty()) return;
  Affected nodes;
  for (const std::string& name : names) nodes[name] = kWhole;
  const SnapshotPtr snapshot = store_.snapshot();
  const Revision planned = table_.with([](const SessionTable& table) { return table.planned; });
  plan_nodes(*snapshot, nodes, planned, clock_.wall());
}

void Planning::forget_node(const std::string& name) {
  std::function<void(Error)> close;
  table_.with([&](SessionTable& table) {
    table.convergence.remove(name);
    const auto at = table.nodes.find(name);
    if (at == table.nodes.end()) return;
    if (at->second.stream_id != 0) --table.connected;
    close = std::move(at->second.stream.close);
    table.nodes.erase(at);
  });
  if (close) close(Error(Code::kPermissionDenied, "the node was removed from the fleet"));
}

bool Planning::is_to_be_planned(const pb::Node& node, SectionSet sections) {
  return table_.with([&](SessionTable& table) {
    const std::string& name = node.metadata().name();
    NodeEntry& entry = table.nodes[name];
    entry.joined = node.status().agent().has_join_time();
    // One that has just come is in `opened`, and gets all of it.
    if (entry.stream_id != 0) return entry.planned || sections == kWhole;
    // What a node that is away shall have is found out when it comes: nobody can be sent it, and
    // the plans of a large fleet take more room than its model.
    table.convergence.forget(name);
    return false;
  });
}

void Planning::plan_nodes(const Snapshot& snapshot, const Affected& nodes, Revision since,
                          WallTime time) {
  std::unique_ptr<PlanSource::Planner> planner;
  for (const auto& [name, sections] : nodes) {
    const auto* node = snapshot.find<pb::Node>(name);
    if (node == nullptr) {
      forget_node(name);
      continue;
    }
    if (!is_to_be_planned(*node, sections)) continue;
    if (planner == nullptr) planner = source_.planner(snapshot);
    want(name, planner->plan(*node, sections), since, time);
  }
  table_.with([&](SessionTable& table) { table.planned = std::max(table.planned, since); });
}

void Planning::want(const std::string& name, NodePlan plan, Revision since, WallTime time) {
  std::function<void()> poke;
  table_.with([&](SessionTable& table) {
    NodeEntry& entry = table.nodes[name];
    if (entry.stream_id == 0) return;
    for (auto& [section, planned] : plan.sections) {
      table.convergence.want(name, section, planned->hash(), since, time);
      entry.lacks.sections[section] = std::move(planned);
    }
    entry.lacks.revision = plan.revision;
    entry.planned = true;
    entry.session.take_out_sent(entry.lacks);
    if (!entry.lacks.sections.empty()) poke = entry.stream.poke;
  });
  if (poke) poke();
}

void Planning::retry_failed() {
  const MonoTime now = clock_.mono();
  table_.with([&](SessionTable& table) {
    for (auto& [name, entry] : table.nodes)
      if (entry.stream_id != 0 && entry.session.retry(now)) table.opened.insert(name);
  });
  plan_opened();
}

}  // namespace frameworks
