// Tenants: what a tenant's programs need to know.
#include "runtime/tenants/tenant_context.h"
#include "server/handlers.h"

namespace frameworks {

void add_tenant_methods(Api& api, const Fleet& fleet) {
  api.add<pb::GetTenantContextRequest, pb::TenantContext>(
      "frameworks.v1.Tenants/GetContext", Runs::kInline,
      [&store = fleet.store](const Caller&, const auto& request, auto& response) -> Status {
        ASSIGN_OR_RETURN(response, tenant_context(*store.snapshot(), request.tenant()));
        return {};
      });
}

}  // namespace frameworks
