#include "config/mesh/mesh_plan.h"
#include "frameworks/v1/service.pb.h"

namespace frameworks {
namespace {

std::set<std::string> all_nodes(const Snapshot& snapshot) {
  std::set<std::string> out;
  for (const NodePtr& node : snapshot.list<pb::Node>()) out.insert(node->metadata().name());
  return out;
}

// All that other nodes' names sections read of a node.
bool same_for_names(const pb::Node& a, const pb::Node& b) {
  return a.spec().cluster() == b.spec().cluster() &&
         a.spec().mesh_address() == b.spec().mesh_address() &&
         a.spec().mesh_address6() == b.spec().mesh_address6();
}

// All that other nodes' mesh sections read of a node. Heartbeats and health change none of it.
bool same_for_mesh(const pb::Node& a, const pb::Node& b) {
  return same_for_names(a, b) && a.spec().address() == b.spec().address() &&
         a.spec().wireguard_port() == b.spec().wireguard_port() &&
         is_mesh_ready(a) == is_mesh_ready(b) &&
         a.status().agent().wireguard_public_key() == b.status().agent().wireguard_public_key();
}

// Whether the region has a ready regional node besides `name`.
bool has_other_regional(const Snapshot& snapshot, const std::string& region,
                        const std::string& name) {
  for (const auto& cluster : snapshot.list<pb::Cluster>()) {
    if (cluster->spec().tier() != pb::TIER_REGIONAL || cluster->spec().region() != region) continue;
    for (const NodePtr& node : snapshot.find_by<pb::Node>("cluster", cluster->metadata().name()))
      if (node->metadata().name() != name && is_mesh_ready(*node)) return true;
  }
  return false;
}

std::set<std::string> around_node(const Snapshot& snapshot, const pb::Node& node) {
  const size_t count = snapshot.count(kind_of<pb::Node>());
  // One more than the limit, because the node may just have gone or come.
  if (count <= kNamesOfWholeFleet + 1) return all_nodes(snapshot);
  const auto* cluster = snapshot.find<pb::Cluster>(node.spec().cluster());
  if (cluster == nullptr) return all_nodes(snapshot);
  // The first regional node of a region moves everybody's paths to that region's edges; further
  // ones only those of the region itself and of the other relays, who are its neighbours.
  if (cluster->spec().tier() == pb::TIER_REGIONAL &&
      !has_other_regional(snapshot, cluster->spec().region(), node.metadata().name()))
    return all_nodes(snapshot);
  std::set<std::string> out{node.metadata().name()};
  for (std::string& name : mesh_neighbours(snapshot, node)) out.insert(std::move(name));
  return out;
}

std::set<std::string> around(const Snapshot& snapshot, const std::string& node_name) {
  const auto* node = snapshot.find<pb::Node>(node_name);
  return node == nullptr ? std::set<std::string>{} : around_node(snapshot, *node);
}

template <typename T>
const T* typed(const Resource& resource) {
  return resource && resource.message().GetDescriptor() == T::descriptor() ? &resource.as<T>()
                                                                           : nullptr;
}

// Clusters are who reaches whom.
std::set<std::string> around_cluster(const Snapshot& snapshot, const Resource& before,
                                     const Resource& after) {
  const auto* old = typed<pb::Cluster>(before);
  const auto* now = typed<pb::Cluster>(after);
  if (old != nullptr && now != nullptr &&
      old->spec().SerializeAsString() == now->spec().SerializeAsString())
    return {};
  return all_nodes(snapshot);
}

}  // namespace

std::set<std::string> mesh_affected(const Snapshot& snapshot, const Resource& before,
                                    const Resource& after) {
  const Resource& any = after ? after : before;
  if (!any) return {};
  if (const auto* now = typed<pb::Node>(any)) {
    const auto* old = typed<pb::Node>(before);
    if (before && after && same_for_mesh(*old, *now)) return {};
    return around_node(snapshot, *now);
  }
  if (typed<pb::Cluster>(any) != nullptr) return around_cluster(snapshot, before, after);
  return {};
}

std::set<std::string> names_affected(const Snapshot& snapshot, const Resource& before,
                                     const Resource& after) {
  const Resource& any = after ? after : before;
  if (!any) return {};
  if (const auto* now = typed<pb::Node>(any)) {
    const auto* old = typed<pb::Node>(before);
    if (before && after && same_for_names(*old, *now)) return {};
    return around_node(snapshot, *now);
  }
  if (typed<pb::Cluster>(any) != nullptr) return around_cluster(snapshot, before, after);
  if (const auto* instance = typed<pb::Instance>(any))
    return before && after ? std::set<std::string>{} : around(snapshot, instance->spec().node());
  if (const auto* service = typed<pb::Service>(any)) {
    // What runs on many nodes is known to next to all.
    constexpr size_t kMany = 256;
    std::set<std::string> out;
    const auto instances = snapshot.find_by<pb::Instance>("service", service->metadata().name());
    if (instances.size() > kMany) return all_nodes(snapshot);
    for (const auto& instance : instances) out.merge(around(snapshot, instance->spec().node()));
    return out;
  }
  return {};
}

}  // namespace frameworks
