// Tenants and grants as commands answer with them.
#pragma once

#include "cli/command.h"
#include "frameworks/v1/tenants_api.grpc.pb.h"

namespace frameworks::cli {

// "Tenant/acme created", or with what it says in JSON; `what` e.g. "created", after "would be" on a
// dry run.
Result<int> show_tenant(const Context& context, const pb::TenantResponse& response,
                        std::string_view what, bool dry_run);
Result<int> show_grant(const Context& context, const pb::GrantResponse& response,
                       std::string_view what, bool dry_run);
// What its owner puts into the DNS for each domain that is not verified.
void print_challenges(const Terminal& terminal, const pb::Tenant& tenant);

}  // namespace frameworks::cli
