#include "runtime/orchestration/obstacle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "frameworks/v1/cluster.pb.h"
#include "model/availability.h"
#include "model/words.h"

namespace frameworks {
namespace {

template <typename List, typename Value>
bool allows(const List& list, const Value& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

const std::string* find_label(const pb::Metadata& metadata, const std::string& name) {
  const auto found = metadata.labels().find(name);
  return found == metadata.labels().end() ? nullptr : &found->second;
}

std::optional<Obstacle> label_obstacle(const pb::Placement& placement, const pb::Cluster& cluster,
                                       const pb::Node& node) {
  for (const auto& [name, value] : placement.labels()) {
    const std::string* found = find_label(node.metadata(), name);
    if (found == nullptr) found = find_label(cluster.metadata(), name);
    if (found == nullptr)
      return Obstacle{Constraint::kLabels, fmt::format("has no label {}", name)};
    if (*found != value)
      return Obstacle{Constraint::kLabels,
                      fmt::format("has label {}={} instead of {}", name, *found, value)};
  }
  return std::nullopt;
}

// Of the machine; 0: not known.
pb::MachineSize size_of(const Snapshot& snapshot, const pb::Node& node) {
  const auto* pool = snapshot.find<pb::MachinePool>(node.spec().pool());
  return pool == nullptr ? node.spec().size() : pool->spec().size();
}

std::optional<Obstacle> amount_obstacle(Constraint constraint, std::string_view unit, double size,
                                        double used, double needed) {
  const double left = std::max(0.0, size - used);
  if (size <= 0 || needed <= 0 || needed <= left) return std::nullopt;
  return Obstacle{constraint, fmt::format("has {:g} of the {:g} {}", left, needed, unit),
                  (needed - left) / needed};
}

}  // namespace

std::string_view constraint_name(Constraint constraint) {
  static constexpr std::array<std::string_view, kConstraints> kNames = {
      "tier",       "region", "cluster", "labels", "availability",
      "apart from", "port",   "cpus",    "memory"};
  return kNames[static_cast<size_t>(constraint)];
}

bool is_counted(const pb::Placement& placement) {
  return placement.count() > 0 || placement.count_per_cluster() > 0;
}

std::optional<Obstacle> selector_obstacle(const Snapshot& snapshot, const pb::Service& service,
                                          const pb::Node& node) {
  const pb::Placement& placement = service.spec().placement();
  const auto* cluster = snapshot.find<pb::Cluster>(node.spec().cluster());
  if (cluster == nullptr || node.metadata().has_delete_time())
    return Obstacle{Constraint::kCluster, "is being deleted"};
  if (!allows(placement.tiers(), static_cast<int>(cluster->spec().tier())))
    return Obstacle{Constraint::kTier, fmt::format("is {}", word(cluster->spec().tier()))};
  if (!allows(placement.regions(), cluster->spec().region()))
    return Obstacle{Constraint::kRegion, fmt::format("is in {}", cluster->spec().region())};
  if (!allows(placement.clusters(), cluster->metadata().name()))
    return Obstacle{Constraint::kCluster, fmt::format("is of {}", cluster->metadata().name())};
  if (auto obstacle = label_obstacle(placement, *cluster, node)) return obstacle;
  if (is_counted(placement) && !keeps_instances(node))
    return Obstacle{Constraint::kAvailability, "is drained"};
  return std::nullopt;
}

bool keep_apart(const pb::Service& a, const pb::Service& b) {
  const auto names = [](const pb::Service& service, const pb::Service& other) {
    const auto& apart = service.spec().placement().apart_from();
    return std::find(apart.begin(), apart.end(), other.metadata().name()) != apart.end();
  };
  return names(a, b) || names(b, a);
}

std::optional<Obstacle> room_obstacle(const Snapshot& snapshot, const pb::Service& service,
                                      const pb::Node& node) {
  double cpus = 0;
  double memory = 0;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name())) {
    const auto* other = snapshot.find<pb::Service>(instance->spec().service());
    if (other == nullptr || other->metadata().name() == service.metadata().name()) continue;
    if (keep_apart(service, *other))
      return Obstacle{Constraint::kApart, fmt::format("has {}", other->metadata().name())};
    for (const pb::Port& theirs : other->spec().ports())
      for (const pb::Port& ours : service.spec().ports())
        if (theirs.port() == ours.port() && theirs.protocol() == ours.protocol())
          return Obstacle{Constraint::kPort,
                          fmt::format("has {} on {} {}", other->metadata().name(),
                                      word(ours.protocol()), ours.port())};
    cpus += other->spec().resources().cpus();
    memory += static_cast<double>(other->spec().resources().memory_mb());
  }
  const pb::MachineSize size = size_of(snapshot, node);
  const pb::Resources& needed = service.spec().resources();
  if (auto lack = amount_obstacle(Constraint::kCpus, "cores", size.cpus(), cpus, needed.cpus()))
    return lack;
  return amount_obstacle(Constraint::kMemory, "MiB", static_cast<double>(size.memory_mb()), memory,
                         static_cast<double>(needed.memory_mb()));
}

}  // namespace frameworks
