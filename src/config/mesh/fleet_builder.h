// Fleets for the tests of this folder.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "frameworks/v1/node.pb.h"
#include "frameworks/v1/service.pb.h"
#include "model/snapshot.h"

namespace frameworks {

enum class Joined { kNo, kYes };

class FleetBuilder {
 public:
  // Clusters are numbered from 1: addresses 10.99.<n>/24, mesh 10.64.<n>/24 and fd00:<n>::/64.
  FleetBuilder& cluster(const std::string& name, pb::Tier tier, const std::string& region) {
    const size_t number = names_.size() + 1;
    names_.push_back(name);
    pb::Cluster cluster;
    cluster.mutable_metadata()->set_name(name);
    cluster.mutable_spec()->set_tier(tier);
    cluster.mutable_spec()->set_region(region);
    auto& networks = *cluster.mutable_spec()->mutable_networks();
    networks.set_mesh(fmt::format("10.64.{}.0/24", number));
    networks.set_mesh6(fmt::format("fd00:{:x}::/64", number));
    resources_.push_back(Resource::of(std::move(cluster)));
    return *this;
  }

  // Node <cluster>-<n> of the cluster that was added last.
  FleetBuilder& node(int n, Joined joined = Joined::kYes) {
    const std::string name = fmt::format("{}-{}", names_.back(), n);
    pb::Node node;
    node.mutable_metadata()->set_name(name);
    auto& spec = *node.mutable_spec();
    spec.set_cluster(names_.back());
    spec.set_address(fmt::format("10.99.{}.{}", names_.size(), n));
    spec.set_mesh_address(fmt::format("10.64.{}.{}", names_.size(), n));
    spec.set_mesh_address6(fmt::format("fd00:{:x}::{:x}", names_.size(), n));
    if (joined == Joined::kYes)
      node.mutable_status()->mutable_agent()->set_wireguard_public_key(key_of(name));
    resources_.push_back(Resource::of(std::move(node)));
    return *this;
  }

  FleetBuilder& service(const std::string& name, pb::Exposure exposure = pb::EXPOSURE_MESH) {
    pb::Service service;
    service.mutable_metadata()->set_name(name);
    auto& port = *service.mutable_spec()->add_ports();
    port.set_name("main");
    port.set_port(9000);
    port.set_exposure(exposure);
    resources_.push_back(Resource::of(std::move(service)));
    return *this;
  }

  FleetBuilder& instance(const std::string& service, const std::string& node) {
    pb::Instance instance;
    instance.mutable_metadata()->set_name(service + "." + node);
    instance.mutable_spec()->set_service(service);
    instance.mutable_spec()->set_node(node);
    resources_.push_back(Resource::of(std::move(instance)));
    return *this;
  }

  static std::string key_of(const std::string& name) { return base64_encode(sha256(name)); }
  [[nodiscard]] const std::vector<Resource>& resources() const { return resources_; }
  [[nodiscard]] Snapshot snapshot() const {
    Snapshot out;
    for (const Resource& resource : resources_) out.put(resource);
    return out;
  }

 private:
  std::vector<std::string> names_;
  std::vector<Resource> resources_;
};

// The demo fleet's shape: two regions, a central cluster in the first.
inline FleetBuilder two_regions() {
  FleetBuilder fleet;
  fleet.cluster("core", pb::TIER_CENTRAL, "eu-west").node(1);
  fleet.cluster("eu-regional", pb::TIER_REGIONAL, "eu-west").node(1);
  fleet.cluster("us-regional", pb::TIER_REGIONAL, "us-east").node(1);
  fleet.cluster("eu-edge", pb::TIER_EDGE, "eu-west").node(1);
  fleet.cluster("us-edge", pb::TIER_EDGE, "us-east").node(1);
  return fleet;
}

}  // namespace frameworks
