#include "runtime/orchestration/rollout_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "frameworks/v1/cluster.pb.h"
#include "model/availability.h"

namespace frameworks {
namespace {

using RolloutPtr = std::shared_ptr<const pb::Rollout>;

Duration duration_of(const google::protobuf::Duration& value) {
  return std::chrono::seconds(value.seconds()) + std::chrono::nanoseconds(value.nanos());
}

// What is set in `from` replaces what is there.
void take(const pb::RolloutStrategy& from, RolloutTerms& terms, int& max_unavailable) {
  if (from.has_canary()) terms.canary = from.canary();
  if (from.batch_size() > 0) terms.batch_size = from.batch_size();
  if (from.max_unavailable() > 0) max_unavailable = from.max_unavailable();
  if (from.has_gate()) terms.gate = duration_of(from.gate());
  if (from.has_patience()) terms.patience = duration_of(from.patience());
  if (from.has_region_stagger()) terms.region_stagger = duration_of(from.region_stagger());
  if (from.has_drain()) terms.drain = duration_of(from.drain());
  terms.keep_failed |= from.keep_failed();
}

std::tuple<int64_t, int32_t, std::string> age(const pb::Rollout& rollout) {
  const auto& created = rollout.metadata().create_time();
  return {created.seconds(), created.nanos(), rollout.metadata().name()};
}

std::tuple<int64_t, int32_t> start_of(const pb::Rollout& rollout) {
  return {rollout.status().start_time().seconds(), rollout.status().start_time().nanos()};
}

// The one of the service that was begun last; null: none was.
RolloutPtr newest_begun(const Snapshot& snapshot, const std::string& service) {
  RolloutPtr newest;
  for (const auto& rollout : snapshot.find_by<pb::Rollout>("service", service))
    if (rollout->status().has_start_time() &&
        (newest == nullptr || start_of(*newest) <= start_of(*rollout)))
      newest = rollout;
  return newest;
}

bool is_done_on(const pb::Rollout& rollout, const std::string& node) {
  return std::any_of(rollout.status().batches().begin(), rollout.status().batches().end(),
                     [&](const pb::RolloutBatch& batch) {
                       return batch.state() == pb::BATCH_STATE_DONE &&
                              std::find(batch.nodes().begin(), batch.nodes().end(), node) !=
                                  batch.nodes().end();
                     });
}

// Nodes by region that lack the version, those that work first.
class Regions {
 public:
  Regions(const Snapshot& snapshot, const pb::Rollout& rollout) {
    std::map<std::string, std::vector<std::tuple<bool, std::string>>> found;
    for (const auto& instance :
         snapshot.find_by<pb::Instance>("service", rollout.spec().service())) {
      const auto* node = snapshot.find<pb::Node>(instance->spec().node());
      if (node == nullptr || instance->spec().version() == rollout.spec().version()) continue;
      const auto* cluster = snapshot.find<pb::Cluster>(node->spec().cluster());
      const bool works = instance->status().state() == pb::HEALTH_HEALTHY && takes_work(*node);
      found[cluster == nullptr ? "" : cluster->spec().region()].emplace_back(
          !works, instance->spec().node());
    }
    for (auto& [region, nodes] : found) {
      std::sort(nodes.begin(), nodes.end());
      const bool works = !std::get<0>(nodes.front());
      auto& queue = queues_.emplace_back(region, std::vector<std::string>());
      for (auto& [away, node] : nodes) queue.second.push_back(std::move(node));
      // The first region with a node that works is where the canary sings.
      if (works && !has_first_) {
        has_first_ = true;
        std::rotate(queues_.begin(), queues_.end() - 1, queues_.end());
      }
    }
  }

  [[nodiscard]] bool empty() const { return queues_.empty(); }
  // At most so many of the first region.
  pb::RolloutBatch take(size_t most) {
    auto& [region, nodes] = queues_.front();
    pb::RolloutBatch batch;
    batch.set_region(region);
    const auto end = nodes.begin() + static_cast<ptrdiff_t>(std::min(most, nodes.size()));
    for (auto node = nodes.begin(); node != end; ++node) batch.add_nodes(*node);
    nodes.erase(nodes.begin(), end);
    if (nodes.empty()) queues_.erase(queues_.begin());
    return batch;
  }

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> queues_;
  bool has_first_ = false;
};

}  // namespace

RolloutTerms rollout_terms(const Snapshot& snapshot, const pb::Rollout& rollout) {
  RolloutTerms terms;
  int max_unavailable = 0;
  if (const auto* service = snapshot.find<pb::Service>(rollout.spec().service()))
    take(service->spec().rollout(), terms, max_unavailable);
  take(rollout.spec().strategy(), terms, max_unavailable);
  terms.max_unavailable =
      max_unavailable > 0 ? max_unavailable : std::max(terms.batch_size, terms.canary);
  return terms;
}

bool is_under_way(const pb::Rollout& rollout) {
  const pb::RolloutState state = rollout.status().state();
  return state == pb::ROLLOUT_STATE_RUNNING || state == pb::ROLLOUT_STATE_PAUSED ||
         state == pb::ROLLOUT_STATE_ROLLING_BACK;
}

bool has_ended(const pb::Rollout& rollout) {
  const pb::RolloutState state = rollout.status().state();
  return state == pb::ROLLOUT_STATE_SUCCEEDED || state == pb::ROLLOUT_STATE_ROLLED_BACK ||
         state == pb::ROLLOUT_STATE_FAILED;
}

std::string current_rollout(const Snapshot& snapshot, const std::string& service) {
  RolloutPtr first;
  for (const auto& rollout : snapshot.find_by<pb::Rollout>("service", service)) {
    if (is_under_way(*rollout)) return rollout->metadata().name();
    if (has_ended(*rollout)) continue;
    if (first == nullptr || age(*rollout) < age(*first)) first = rollout;
  }
  return first == nullptr ? std::string() : first->metadata().name();
}

std::string last_rollout(const Snapshot& snapshot, const std::string& service) {
  RolloutPtr last;
  for (const auto& rollout : snapshot.find_by<pb::Rollout>("service", service))
    if (has_ended(*rollout) && (last == nullptr || start_of(*last) <= start_of(*rollout)))
      last = rollout;
  return last == nullptr ? std::string() : last->metadata().name();
}

std::vector<pb::RolloutBatch> plan_batches(const Snapshot& snapshot, const pb::Rollout& rollout) {
  const RolloutTerms terms = rollout_terms(snapshot, rollout);
  const int most = std::max(1, terms.max_unavailable);
  // Batches that were planned before have had their canaries.
  int canaries = rollout.status().batches().empty() ? terms.canary : 0;
  std::vector<pb::RolloutBatch> out;
  for (Regions regions(snapshot, rollout); !regions.empty();) {
    const int size = std::min(most, canaries > 0 ? canaries : terms.batch_size);
    pb::RolloutBatch batch = regions.take(static_cast<size_t>(std::max(1, size)));
    batch.set_canary(canaries > 0);
    batch.set_state(pb::BATCH_STATE_PENDING);
    canaries -= batch.nodes_size();
    out.push_back(std::move(batch));
  }
  return out;
}

std::string version_for(const Snapshot& snapshot, const pb::Service& service,
                        const std::string& node, const pb::Instance* existing) {
  const std::string& wanted = service.spec().version();
  const RolloutPtr rollout = newest_begun(snapshot, service.metadata().name());
  if (rollout == nullptr) return wanted;
  const bool holds =
      is_under_way(*rollout) || rollout->status().state() == pb::ROLLOUT_STATE_FAILED;
  if (!holds || wanted != rollout->status().from_version()) return wanted;
  if (existing != nullptr) return existing->spec().version();
  return is_done_on(*rollout, node) ? rollout->spec().version() : wanted;
}

std::string next_rollout_name(const Snapshot& snapshot, const std::string& service) {
  int64_t newest = 0;
  for (const auto& rollout : snapshot.find_by<pb::Rollout>("service", service)) {
    const std::string& name = rollout->metadata().name();
    if (!name.starts_with(service + "-")) continue;
    int64_t number = 0;
    const char* end = name.data() + name.size();
    const auto read = std::from_chars(name.data() + service.size() + 1, end, number);
    if (read.ec == std::errc() && read.ptr == end) newest = std::max(newest, number);
  }
  return fmt::format("{}-{}", service, newest + 1);
}

}  // namespace frameworks
