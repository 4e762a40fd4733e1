#include "machine/network_security/consumers.h"

#include <algorithm>

#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"

namespace frameworks {
namespace {

template <typename List, typename Value>
bool contains(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

void add_address(const std::string& text, AddressList& out) {
  if (const auto address = IpAddress::parse(text); address)
    out.add(Cidr(*address, address->bits()));
}

void add_range(const std::string& text, AddressList& out) {
  if (const auto range = Cidr::parse(text); range) out.add(*range);
}

}  // namespace

AddressList consumer_addresses(const Snapshot& snapshot, const pb::Service& service) {
  AddressList out;
  const pb::Consumers& consumers = service.spec().consumers();
  if (!consumers.tiers().empty()) {
    for (const auto& cluster : snapshot.list<pb::Cluster>()) {
      if (!contains(consumers.tiers(), cluster->spec().tier())) continue;
      add_range(cluster->spec().networks().mesh(), out);
      add_range(cluster->spec().networks().mesh6(), out);
    }
  }
  for (const std::string& consumer : consumers.services()) {
    for (const auto& instance : snapshot.find_by<pb::Instance>("service", consumer)) {
      const auto* node = snapshot.find<pb::Node>(instance->spec().node());
      if (node == nullptr) continue;
      add_address(node->spec().mesh_address(), out);
      add_address(node->spec().mesh_address6(), out);
    }
  }
  return out;
}

std::set<std::string> nodes_of_service(const Snapshot& snapshot, const std::string& service) {
  std::set<std::string> out;
  for (const auto& instance : snapshot.find_by<pb::Instance>("service", service))
    out.insert(instance->spec().node());
  return out;
}

std::set<std::string> provider_nodes(const Snapshot& snapshot,
                                     const std::set<std::string>& services, pb::Tier tier) {
  std::set<std::string> out;
  for (const auto& provider : snapshot.list<pb::Service>()) {
    const pb::Consumers& consumers = provider->spec().consumers();
    const bool consumed =
        (tier != pb::TIER_UNSPECIFIED && contains(consumers.tiers(), tier)) ||
        std::any_of(consumers.services().begin(), consumers.services().end(),
                    [&](const std::string& name) { return services.contains(name); });
    if (consumed) out.merge(nodes_of_service(snapshot, provider->metadata().name()));
  }
  return out;
}

}  // namespace frameworks
