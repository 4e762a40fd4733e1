// Inventory: the fleet as Ansible sees it.
#include <fmt/format.h>

#include "model/json.h"
#include "runtime/inventory/inventory.h"
#include "server/handlers.h"

namespace frameworks {

void add_inventory_methods(Api& api, const Fleet& fleet) {
  api.add<pb::GetInventoryRequest, pb::GetInventoryResponse>(
      "frameworks.v1.Inventory/Get", Runs::kWorker,
      [&store = fleet.store](const Caller&, const auto& request, auto& response) -> Status {
        const SnapshotPtr snapshot = store.snapshot();
        response.set_revision(snapshot->revision());
        if (request.host().empty())
          return from_json(inventory_json(*snapshot), *response.mutable_inventory());
        const auto* node = snapshot->find<pb::Node>(request.host());
        if (node == nullptr)
          return Error(Code::kNotFound, fmt::format("Node/{}: not found", request.host()));
        return from_json(host_json(*snapshot, *node), *response.mutable_inventory());
      });
}

}  // namespace frameworks
