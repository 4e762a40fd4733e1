#include "runtime/inventory/export.h"

#include "runtime/inventory/ansible.h"
#include "runtime/inventory/formats.h"
#include "runtime/inventory/hosts.h"

namespace frameworks {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kCsv = "text/csv; charset=utf-8; header=present";

}  // namespace

Status export_inventory(const Snapshot& snapshot, const pb::ExportInventoryRequest& request,
                        pb::ExportInventoryResponse& response) {
  ASSIGN_OR_RETURN(const std::vector<Host> hosts, select_hosts(snapshot, request.filter()));
  const Revision revision = snapshot.revision();
  response.set_revision(revision);
  switch (request.format()) {
    case pb::INVENTORY_FORMAT_UNSPECIFIED:
    case pb::INVENTORY_FORMAT_ANSIBLE:
      response.set_content_type(kJson);
      response.set_body(ansible_text(snapshot, hosts, revision));
      return {};
    case pb::INVENTORY_FORMAT_PROMETHEUS:
      response.set_content_type(kJson);
      response.set_body(prometheus_text(
          snapshot, hosts,
          {request.filter().services().begin(), request.filter().services().end()}));
      return {};
    case pb::INVENTORY_FORMAT_SSH:
      response.set_content_type(kText);
      response.set_body(ssh_config_text(hosts, revision));
      return {};
    case pb::INVENTORY_FORMAT_HOSTS:
      response.set_content_type(kText);
      response.set_body(hosts_file_text(snapshot, hosts, revision));
      return {};
    case pb::INVENTORY_FORMAT_CSV:
      response.set_content_type(kCsv);
      response.set_body(csv_text(hosts, revision));
      return {};
    default:
      return Error::invalid({{{}, 0, "", "format", "is no format of this server"}});
  }
}

}  // namespace frameworks
