// The API's handlers, a service a file. Each function registers one service's methods.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/seal.h"
#include "control/operations.h"
#include "machine/provisioning/machines.h"
#include "runtime/access/login_desk.h"
#include "runtime/access/token_desk.h"
#include "runtime/sessions/sessions.h"
#include "runtime/tenants/context_directory.h"
#include "runtime/tenants/txt_resolver.h"
#include "server/api.h"
#include "store/store.h"

namespace frameworks {

struct PlannedChange;

// What handlers work on; outlives the transports.
struct Fleet {
  Store& store;
  Clock& clock;
  const PlanSource& plans;
  Sessions& sessions;
  Operations& operations;
  provisioning::Machines& machines;
  TxtResolver& txt;
  bool simulated = false;
  WallTime started{};
  ContextDirectory& contexts;
  TokenDesk& tokens;
  // What Store::Options.seal is.
  std::shared_ptr<const SealKeys> seal{};
  // This server's name, as leases and Node.status.agent.server tell it.
  std::string server{};
};

// As whom a handler writes.
inline Actor actor(const Caller& caller) { return {caller.name, caller.source}; }

void add_fleet_methods(Api& api, const Fleet& fleet);
void add_account_methods(Api& api, const Fleet& fleet);
void add_login_methods(Api& api, const Fleet& fleet, LoginDesk& logins);
void add_tenant_methods(Api& api, const Fleet& fleet);
void add_context_methods(Api& api, const Fleet& fleet);
void add_grant_methods(Api& api, const Fleet& fleet);
void add_machine_methods(Api& api, const Fleet& fleet);
void add_operation_methods(Api& api, const Fleet& fleet);
void add_inventory_methods(Api& api, const Fleet& fleet);
void add_diagnosis_methods(Api& api, const Fleet& fleet);
void add_orchestration_methods(Api& api, const Fleet& fleet);
void add_rollout_methods(Api& api, const Fleet& fleet);
void add_audit_methods(Api& api, const Fleet& fleet);
// `state`: the folder with the server's keys.
void add_backup_methods(Api& api, const Fleet& fleet, const std::filesystem::path& state);

// Plans the edit, or writes it together with the operation that brings the world there. `outcome`
// is what the edit fills (see plan.h).
Status change_fleet(const Fleet& fleet, const Caller& caller, const Edit& edit, bool dry_run,
                    const std::shared_ptr<PlannedChange>& outcome, pb::ApplyResponse& response);

// Fleet/Status.
Status fill_status(const Fleet& fleet, const pb::StatusRequest& request,
                   pb::StatusResponse& response);

}  // namespace frameworks
