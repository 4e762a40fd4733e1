#include "model/registry.h"

#include <map>

#include "base/text.h"
#include "model/kinds.h"

namespace frameworks {

const std::vector<Kind>& all_kinds() {
  static const std::vector<Kind> kKinds = {identity_provider_kind(),
                                           tenant_kind(),
                                           account_kind(),
                                           access_token_kind(),
                                           cluster_kind(),
                                           grant_kind(),
                                           invite_kind(),
                                           machine_pool_kind(),
                                           node_kind(),
                                           service_kind(),
                                           instance_kind(),
                                           zone_kind(),
                                           certificate_kind(),
                                           secret_kind(),
                                           rollout_kind(),
                                           firewall_rule_kind(),
                                           join_token_kind(),
                                           operation_kind(),
                                           incident_kind(),
                                           lease_kind(),
                                           applied_request_kind()};
  return kKinds;
}

const Kind* find_kind(std::string_view name) {
  static const auto kByName = [] {
    std::map<std::string, const Kind*, std::less<>> out;
    for (const Kind& kind : all_kinds()) {
      out[to_lower(kind.name)] = &kind;
      out[kind.plural] = &kind;
      for (const std::string& alias : kind.aliases) out[alias] = &kind;
    }
    return out;
  }();
  for (const Kind& kind : all_kinds())
    if (kind.name == name) return &kind;
  const auto found = kByName.find(to_lower(name));
  return found == kByName.end() ? nullptr : found->second;
}

const Kind& kind_of(const google::protobuf::Descriptor* descriptor) {
  static const auto kByDescriptor = [] {
    std::map<const google::protobuf::Descriptor*, const Kind*> out;
    for (const Kind& kind : all_kinds()) out[kind.descriptor] = &kind;
    return out;
  }();
  const auto found = kByDescriptor.find(descriptor);
  CHECK(found != kByDescriptor.end());
  return *found->second;
}

}  // namespace frameworks
