#include <algorithm>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/network.pb.h"
#include "machine/network_security/consumers.h"
#include "machine/network_security/firewall_plan.h"

namespace frameworks {
namespace {

using Names = std::set<std::string>;

template <typename T>
const T* typed(const Resource& resource) {
  return resource && resource.message().GetDescriptor() == T::descriptor() ? &resource.as<T>()
                                                                           : nullptr;
}

template <typename T>
bool same_spec(const T* before, const T* after) {
  return before != nullptr && after != nullptr &&
         before->spec().SerializeAsString() == after->spec().SerializeAsString();
}

Names nodes_of_clusters(const Snapshot& snapshot, const pb::Placement& target) {
  Names out;
  for (const auto& cluster : snapshot.list<pb::Cluster>()) {
    const auto in = [](const auto& list, const auto& value) {
      return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
    };
    if (!in(target.tiers(), static_cast<int>(cluster->spec().tier())) ||
        !in(target.regions(), cluster->spec().region()) ||
        !in(target.clusters(), cluster->metadata().name()))
      continue;
    for (const auto& node : snapshot.find_by<pb::Node>("cluster", cluster->metadata().name()))
      out.insert(node->metadata().name());
  }
  return out;
}

// The node itself, and where its mesh addresses stand in sets.
Names by_node(const Snapshot& snapshot, const pb::Node* before, const pb::Node* after) {
  if (same_spec(before, after)) return {};
  const pb::Node& node = after != nullptr ? *after : *before;
  Names services;
  for (const auto& instance : snapshot.find_by<pb::Instance>("node", node.metadata().name()))
    services.insert(instance->spec().service());
  Names out = provider_nodes(snapshot, services, pb::TIER_UNSPECIFIED);
  out.insert(node.metadata().name());
  return out;
}

}  // namespace

Names firewall_affected(const Snapshot& snapshot, const Resource& before, const Resource& after) {
  const Resource& any = after ? after : before;
  if (!any) return {};
  if (typed<pb::Node>(any) != nullptr)
    return by_node(snapshot, typed<pb::Node>(before), typed<pb::Node>(after));
  if (const auto* instance = typed<pb::Instance>(any)) {
    if (same_spec(typed<pb::Instance>(before), typed<pb::Instance>(after))) return {};
    Names out = provider_nodes(snapshot, {instance->spec().service()}, pb::TIER_UNSPECIFIED);
    out.insert(instance->spec().node());
    return out;
  }
  if (const auto* service = typed<pb::Service>(any))
    return same_spec(typed<pb::Service>(before), typed<pb::Service>(after))
               ? Names{}
               : nodes_of_service(snapshot, service->metadata().name());
  if (const auto* cluster = typed<pb::Cluster>(any)) {
    if (same_spec(typed<pb::Cluster>(before), typed<pb::Cluster>(after))) return {};
    Names out = provider_nodes(snapshot, {}, cluster->spec().tier());
    for (const auto& node : snapshot.find_by<pb::Node>("cluster", cluster->metadata().name()))
      out.insert(node->metadata().name());
    return out;
  }
  if (typed<pb::FirewallRule>(any) != nullptr) {
    const auto* old = typed<pb::FirewallRule>(before);
    const auto* now = typed<pb::FirewallRule>(after);
    if (same_spec(old, now)) return {};
    Names out;
    if (old != nullptr) out = nodes_of_clusters(snapshot, old->spec().target());
    if (now != nullptr) out.merge(nodes_of_clusters(snapshot, now->spec().target()));
    return out;
  }
  return {};
}

}  // namespace frameworks
