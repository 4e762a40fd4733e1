// Tenants: whether they are served, where they may be, and whether anything works there.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "runtime/diagnosis/walk.h"
#include "runtime/tenants/entitlement.h"
#include "runtime/tenants/tenant_context.h"

namespace frameworks {
namespace {

using Layer = Walk::Layer;
using google::protobuf::util::TimeUtil;

class TenantWalk {
 public:
  TenantWalk(const pb::Tenant& tenant, Walk& walk)
      : tenant_(tenant), name_(tenant.metadata().name()), key_{"Tenant", "", name_}, walk_(walk) {}

  void state() {
    switch (tenant_state(tenant_)) {
      case pb::TENANT_STATE_DELETING:
        return wrong(fmt::format("is being deleted; waits for: {}",
                                 fmt::join(tenant_.status().waiting(), ", ")),
                     "");
      case pb::TENANT_STATE_SUSPENDED:
        return wrong("is suspended: media servers refuse it", "frameworks tenant resume " + name_);
      default:
        return walk_.ok(Layer::kRuntime, key_, "is active");
    }
  }

  void grants() {
    int noted = 0;
    for (const auto& grant : walk_.snapshot().find_by<pb::Grant>("tenant", name_)) {
      if (is_valid(walk_.snapshot(), *grant))
        clusters_.push_back(grant->spec().cluster());
      else if (noted++ < Walk::kNamed)
        void_grant(*grant);
    }
    if (clusters_.empty())
      wrong("may use no cluster: it has no grant that holds",
            fmt::format("frameworks grant request --tenant {} --cluster CLUSTER, or apply a Grant",
                        name_));
    const std::string& primary = tenant_.spec().primary_cluster();
    if (!primary.empty() &&
        std::find(clusters_.begin(), clusters_.end(), primary) == clusters_.end())
      wrong(fmt::format("its primary cluster is {}, for which it has no grant that holds", primary),
            "apply a Grant, or choose another spec.primaryCluster");
  }

  void clusters() {
    if (tenant_state(tenant_) != pb::TENANT_STATE_ACTIVE) return;
    int noted = 0;
    for (const std::string& cluster : clusters_) {
      const ResourceKey key{"Cluster", "", cluster};
      const ClusterEndpoints there = cluster_endpoints(walk_.snapshot(), cluster);
      const int endpoints = there.context.endpoints_size();
      if (noted++ == Walk::kNamed) return;
      if (endpoints > 0)
        walk_.ok(Layer::kRuntime, key, fmt::format("has {} endpoints that work", endpoints));
      else if (has_endpoints_at_all(cluster))
        walk_.add(Layer::kRuntime, key, pb::FINDING_WRONG,
                  "none of its endpoints works: the tenant is not served there",
                  "frameworks why cluster/" + cluster);
      else
        walk_.ok(Layer::kRuntime, key, "nothing there has endpoints for tenants");
    }
  }

  void domains() {
    int noted = 0;
    for (const pb::DomainStatus& domain : tenant_.status().domains()) {
      const auto& wanted = tenant_.spec().domains();
      if (std::find(wanted.begin(), wanted.end(), domain.domain()) == wanted.end() ||
          domain.state() == pb::DOMAIN_STATE_VERIFIED || noted++ >= Walk::kNamed)
        continue;
      walk_.add(Layer::kRuntime, key_, pb::FINDING_WARNING,
                fmt::format("domain {} is not verified{}{}", domain.domain(),
                            domain.message().empty() ? "" : ": ", domain.message()),
                fmt::format("make the TXT record _frameworks.{} with \"{}\", then: frameworks "
                            "domain verify {} --tenant {}",
                            domain.domain(), domain.challenge(), domain.domain(), name_));
    }
  }

 private:
  void wrong(std::string message, std::string next) {
    walk_.add(Layer::kRuntime, key_, pb::FINDING_WRONG, std::move(message), std::move(next));
  }

  void void_grant(const pb::Grant& grant) {
    const ResourceKey key{"Grant", name_, grant.metadata().name()};
    const std::string& cluster = grant.spec().cluster();
    const std::string why = grant.spec().reason().empty() ? "" : ": " + grant.spec().reason();
    const std::string approve =
        fmt::format("frameworks grant approve {} --tenant {}", grant.metadata().name(), name_);
    if (grant.metadata().has_delete_time())
      return walk_.add(Layer::kRuntime, key, pb::FINDING_WARNING, "is being deleted");
    switch (grant_state(grant, walk_.snapshot().time())) {
      case pb::GRANT_STATE_REQUESTED:
        return walk_.add(Layer::kRuntime, key, pb::FINDING_WARNING,
                         fmt::format("{} was asked for and waits to be approved{}", cluster, why),
                         approve);
      case pb::GRANT_STATE_REJECTED:
        return walk_.add(Layer::kRuntime, key, pb::FINDING_WARNING,
                         fmt::format("{} was asked for and rejected{}", cluster, why), approve);
      default:
        return walk_.add(Layer::kRuntime, key, pb::FINDING_WARNING,
                         fmt::format("{} is void since {}", cluster,
                                     TimeUtil::ToString(grant.spec().expire_time())),
                         "apply the Grant with a later spec.expireTime");
    }
  }

  // Whether any instance on the cluster would have one if it worked.
  [[nodiscard]] bool has_endpoints_at_all(const std::string& cluster) const {
    const Snapshot& snapshot = walk_.snapshot();
    for (const auto& node : snapshot.find_by<pb::Node>("cluster", cluster))
      for (const auto& instance : snapshot.find_by<pb::Instance>("node", node->metadata().name())) {
        const auto* service = snapshot.find<pb::Service>(instance->spec().service());
        if (service == nullptr || !service->spec().tenant_facing()) continue;
        for (const pb::Port& port : service->spec().ports())
          if (!port.url().empty()) return true;
      }
    return false;
  }

  const pb::Tenant& tenant_;
  const std::string& name_;
  const ResourceKey key_;
  Walk& walk_;
  std::vector<std::string> clusters_;
};

}  // namespace

void walk_tenant(const pb::Tenant& tenant, Walk& walk) {
  TenantWalk steps(tenant, walk);
  steps.state();
  steps.grants();
  steps.clusters();
  steps.domains();
  add_incidents({"Tenant", "", tenant.metadata().name()}, walk);
}

}  // namespace frameworks
