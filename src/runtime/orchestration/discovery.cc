#include "runtime/orchestration/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "model/availability.h"

namespace frameworks {
namespace {

constexpr double kUnknown = -1;

// The distance of every other region from one: between the clusters of both that are nearest to
// each other.
class Distances {
 public:
  Distances(const Snapshot& snapshot, std::string from) : from_(std::move(from)) {
    if (from_.empty()) return;
    for (const auto& cluster : snapshot.list<pb::Cluster>())
      if (cluster->spec().has_location())
        (cluster->spec().region() == from_ ? here_ : there_[cluster->spec().region()])
            .push_back(cluster->spec().location());
  }

  double to(const std::string& region) {
    if (from_.empty()) return kUnknown;
    if (region == from_) return 0;
    const auto [at, fresh] = known_.emplace(region, kUnknown);
    if (!fresh) return at->second;
    for (const pb::Location& a : here_)
      for (const pb::Location& b : there_[region])
        if (const double km = distance_km(a, b); at->second == kUnknown || km < at->second)
          at->second = km;
    return at->second;
  }

 private:
  const std::string from_;
  std::vector<pb::Location> here_;
  std::map<std::string, std::vector<pb::Location>> there_;
  std::map<std::string, double> known_;
};

// As good as the worse of the two; nothing for what is not to be used.
std::optional<pb::Health> usable(const pb::Node& node, const pb::Instance& instance) {
  const auto works = [](pb::Health health) {
    return health == pb::HEALTH_HEALTHY || health == pb::HEALTH_DEGRADED ||
           health == pb::HEALTH_SUSPECT;
  };
  const pb::Health of_node = node.status().health().state();
  const pb::Health of_instance = instance.status().state();
  if (!works(of_node) || !works(of_instance) || !takes_work(node)) return std::nullopt;
  return std::max(of_node, of_instance);
}

}  // namespace

double distance_km(const pb::Location& a, const pb::Location& b) {
  constexpr double kRadius = 6371;
  constexpr double kDegree = std::numbers::pi / 180;
  const double half_lat = std::sin((b.latitude() - a.latitude()) * kDegree / 2);
  const double half_lon = std::sin((b.longitude() - a.longitude()) * kDegree / 2);
  const double h = half_lat * half_lat + std::cos(a.latitude() * kDegree) *
                                             std::cos(b.latitude() * kDegree) * half_lon * half_lon;
  return 2 * kRadius * std::asin(std::sqrt(std::min(1.0, h)));
}

Result<pb::DiscoverResponse> discover(const Snapshot& snapshot,
                                      const pb::DiscoverRequest& request) {
  const auto* service = snapshot.find<pb::Service>(request.service());
  if (service == nullptr)
    return Error(Code::kNotFound, fmt::format("Service/{}: not found", request.service()));
  if (!request.cluster().empty() && snapshot.find<pb::Cluster>(request.cluster()) == nullptr)
    return Error(Code::kNotFound, fmt::format("Cluster/{}: not found", request.cluster()));
  Distances distances(snapshot, request.near_region());
  std::vector<pb::DiscoveredInstance> found;
  for (const auto& instance : snapshot.find_by<pb::Instance>("service", request.service())) {
    const auto* node = snapshot.find<pb::Node>(instance->spec().node());
    if (node == nullptr) continue;
    const auto* cluster = snapshot.find<pb::Cluster>(node->spec().cluster());
    const auto state = usable(*node, *instance);
    const bool elsewhere =
        !request.cluster().empty() && node->spec().cluster() != request.cluster();
    if (cluster == nullptr || !state || elsewhere) continue;
    pb::DiscoveredInstance& out = found.emplace_back();
    out.set_instance(instance->metadata().name());
    out.set_node(node->metadata().name());
    out.set_cluster(cluster->metadata().name());
    out.set_region(cluster->spec().region());
    out.set_address(node->spec().address());
    out.set_mesh_address(node->spec().mesh_address());
    out.set_mesh_address6(node->spec().mesh_address6());
    *out.mutable_ports() = service->spec().ports();
    out.set_version(instance->spec().version());
    out.set_state(*state);
    out.set_distance_km(distances.to(cluster->spec().region()));
  }
  // Nobody new is sent to a node that is saturated, unless all are: a full place is better than
  // none.
  const auto is_full = [&](const auto& instance) {
    const auto* node = snapshot.find<pb::Node>(instance.node());
    return node != nullptr && node->status().health().saturated_size() > 0;
  };
  if (!std::all_of(found.begin(), found.end(), is_full)) std::erase_if(found, is_full);
  // Instances come in order of their names: equals stay so.
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    const auto far = [](const auto& i) {
      return i.distance_km() == kUnknown ? HUGE_VAL : i.distance_km();
    };
    return far(a) < far(b);
  });
  pb::DiscoverResponse response;
  response.set_revision(snapshot.revision());
  const size_t limit = request.limit() == 0 ? found.size() : static_cast<size_t>(request.limit());
  for (size_t i = 0; i < std::min(limit, found.size()); ++i)
    *response.add_instances() = std::move(found[i]);
  return response;
}

}  // namespace frameworks
