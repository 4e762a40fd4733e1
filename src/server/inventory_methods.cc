// Inventory: the fleet as Ansible and other tools read it.
#include <fmt/format.h>

#include "model/json.h"
#include "runtime/inventory/ansible.h"
#include "runtime/inventory/export.h"
#include "runtime/inventory/hosts.h"
#include "runtime/inventory/inventory.h"
#include "server/handlers.h"

namespace frameworks {

void add_inventory_methods(Api& api, const Fleet& fleet) {
  api.add<pb::GetInventoryRequest, pb::GetInventoryResponse>(
      "frameworks.v1.Inventory/Get", Runs::kWorker,
      [&store = fleet.store](const Caller&, const auto& request, auto& response) -> Status {
        const SnapshotPtr snapshot = store.snapshot();
        response.set_revision(snapshot->revision());
        if (request.host().empty()) {
          ASSIGN_OR_RETURN(const auto hosts, select_hosts(*snapshot, request.filter()));
          ASSIGN_OR_RETURN(const auto json,
                           parse_json(ansible_text(*snapshot, hosts, snapshot->revision())));
          return from_json(json, *response.mutable_inventory());
        }
        const auto* node = snapshot->find<pb::Node>(request.host());
        if (node == nullptr)
          return Error(Code::kNotFound, fmt::format("Node/{}: not found", request.host()));
        return from_json(host_json(*snapshot, *node), *response.mutable_inventory());
      });
  api.add<pb::ExportInventoryRequest, pb::ExportInventoryResponse>(
      "frameworks.v1.Inventory/Export", Runs::kWorker,
      [&store = fleet.store](const Caller&, const auto& request, auto& response) -> Status {
        const SnapshotPtr snapshot = store.snapshot();
        return export_inventory(*snapshot, request, response);
      });
}

}  // namespace frameworks
