#include "runtime/tenants/tenant_status.h"

#include "frameworks/v1/tenant.pb.h"
#include "runtime/tenants/domain_check.h"
#include "runtime/tenants/entitlement.h"

namespace frameworks {
namespace {

void derive_grant(Transaction& transaction, const ResourceKey& key) {
  const Resource* found = transaction.snapshot().find(key);
  if (found == nullptr) return;
  const auto& grant = found->as<pb::Grant>();
  const pb::GrantState state = grant_state(grant, transaction.time());
  if (grant.status().state() == state) return;
  pb::Grant changed = grant;
  changed.mutable_status()->set_state(state);
  transaction.put(std::move(changed));
}

bool lists_its_domains(const pb::Tenant& tenant) {
  const auto& wanted = tenant.spec().domains();
  const auto& listed = tenant.status().domains();
  return std::equal(wanted.begin(), wanted.end(), listed.begin(), listed.end(),
                    [](const std::string& domain, const pb::DomainStatus& status) {
                      return status.domain() == domain;
                    });
}

void derive_tenant(Transaction& transaction, const ResourceKey& key) {
  const auto* tenant = transaction.snapshot().find<pb::Tenant>(key.name);
  if (tenant == nullptr || lists_its_domains(*tenant)) return;
  pb::Tenant changed = *tenant;
  changed.mutable_status()->clear_domains();
  for (const std::string& domain : tenant->spec().domains()) {
    pb::DomainStatus& status = *changed.mutable_status()->add_domains();
    if (const auto* known = find_domain(*tenant, domain); known != nullptr) {
      status = *known;
      continue;
    }
    status.set_domain(domain);
    status.set_state(pb::DOMAIN_STATE_PENDING);
    status.set_challenge(domain_challenge(*tenant, domain));
  }
  transaction.put(std::move(changed));
}

}  // namespace

Status derive_tenants(Transaction& transaction) {
  for (const ResourceKey& key : transaction.changed()) {
    if (key.kind == "Grant") derive_grant(transaction, key);
    if (key.kind == "Tenant") derive_tenant(transaction, key);
  }
  return {};
}

}  // namespace frameworks
