#include "cli/tenant_text.h"

#include <fmt/format.h>

#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {

Result<int> show_tenant(const Context& context, const pb::TenantResponse& response,
                        std::string_view what, bool dry_run) {
  if (context.json) {
    context.terminal.out << pretty_json(to_json(response)) << "\n";
    return kExitOk;
  }
  context.terminal.out << fmt::format("Tenant/{} {}{}\n", response.tenant().metadata().name(),
                                      dry_run ? "would be " : "", what);
  if (!dry_run) print_challenges(context.terminal, response.tenant());
  return kExitOk;
}

Result<int> show_grant(const Context& context, const pb::GrantResponse& response,
                       std::string_view what, bool dry_run) {
  if (context.json) {
    context.terminal.out << pretty_json(to_json(response)) << "\n";
    return kExitOk;
  }
  const pb::Grant& grant = response.grant();
  context.terminal.out << fmt::format("Grant/{}/{} {}{}: {} of {}\n", grant.metadata().tenant(),
                                      grant.metadata().name(), dry_run ? "would be " : "", what,
                                      word(grant.spec().level()), grant.spec().cluster());
  return kExitOk;
}

void print_challenges(const Terminal& terminal, const pb::Tenant& tenant) {
  for (const pb::DomainStatus& domain : tenant.status().domains())
    if (domain.state() != pb::DOMAIN_STATE_VERIFIED)
      terminal.out << fmt::format("  {} needs the DNS record: _frameworks.{} TXT \"{}\"\n",
                                  domain.domain(), domain.domain(), domain.challenge());
}

}  // namespace frameworks::cli
