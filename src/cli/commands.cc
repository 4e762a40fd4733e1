#include "cli/commands.h"

namespace frameworks::cli {

const std::vector<Command>& all_commands() {
  static const std::vector<Command> kCommands = {validate_command(),
                                                 plan_command(),
                                                 apply_command(),
                                                 delete_command(),
                                                 get_command(),
                                                 describe_command(),
                                                 watch_command(),
                                                 status_command(),
                                                 tenant_create_command(),
                                                 tenant_update_command(),
                                                 tenant_suspend_command(),
                                                 tenant_resume_command(),
                                                 tenant_delete_command(),
                                                 tenant_context_command(),
                                                 tenant_clusters_command(),
                                                 domain_verify_command(),
                                                 domain_list_command(),
                                                 grant_request_command(),
                                                 grant_approve_command(),
                                                 grant_reject_command(),
                                                 grant_list_command(),
                                                 invite_create_command(),
                                                 invite_accept_command(),
                                                 operation_list_command(),
                                                 operation_watch_command(),
                                                 operation_cancel_command(),
                                                 inventory_command(),
                                                 why_command(),
                                                 node_power_on_command(),
                                                 node_power_off_command(),
                                                 drain_command(),
                                                 maintenance_command(),
                                                 resume_command(),
                                                 discover_command(),
                                                 rollout_start_command(),
                                                 rollout_status_command(),
                                                 rollout_list_command(),
                                                 rollout_pause_command(),
                                                 rollout_resume_command(),
                                                 rollout_abort_command(),
                                                 rollout_undo_command(),
                                                 token_create_command(),
                                                 access_token_create_command(),
                                                 access_token_revoke_command(),
                                                 login_command(),
                                                 logout_command(),
                                                 whoami_command(),
                                                 audit_list_command(),
                                                 audit_verify_command(),
                                                 backup_command(),
                                                 verify_command(),
                                                 restore_command(),
                                                 completion_command(),
                                                 version_command(),
                                                 docs_command()};
  return kCommands;
}

std::string group_summary(const std::string& group) {
  if (group == "tenant") return "Tenants: their life, and what their programs are told";
  if (group == "domain") return "Custom domains of tenants";
  if (group == "grant") return "Who may use which cluster";
  if (group == "invite") return "Codes with which tenants get a grant by themselves";
  if (group == "operation") return "Long work: list it, follow it, stop it";
  if (group == "rollout") return "New versions of services, batch by batch";
  if (group == "node") return "Switch machines on and off";
  if (group == "token") return "Tokens that let machines join";
  if (group == "access-token") return "Tokens with which programs use the API";
  if (group == "audit") return "Who changed what, and whether that record is whole";
  return {};
}

}  // namespace frameworks::cli
