// The commands' own files: each gives one function.
#pragma once

#include "cli/command.h"

namespace frameworks::cli {

Command validate_command();
Command plan_command();
Command apply_command();
Command delete_command();
Command get_command();
Command describe_command();
Command watch_command();
Command status_command();
Command tenant_create_command();
Command tenant_update_command();
Command tenant_suspend_command();
Command tenant_resume_command();
Command tenant_delete_command();
Command tenant_context_command();
Command tenant_clusters_command();
Command domain_verify_command();
Command domain_list_command();
Command grant_request_command();
Command grant_approve_command();
Command grant_reject_command();
Command grant_list_command();
Command invite_create_command();
Command invite_accept_command();
Command operation_list_command();
Command operation_watch_command();
Command operation_cancel_command();
Command inventory_command();
Command why_command();
Command node_power_on_command();
Command node_power_off_command();
Command drain_command();
Command maintenance_command();
Command rollout_start_command();
Command rollout_status_command();
Command rollout_list_command();
Command rollout_pause_command();
Command rollout_resume_command();
Command rollout_abort_command();
Command rollout_undo_command();
Command resume_command();
Command discover_command();
Command token_create_command();
Command access_token_create_command();
Command access_token_revoke_command();
Command login_command();
Command logout_command();
Command whoami_command();
Command audit_list_command();
Command audit_verify_command();
Command backup_command();
Command verify_command();
Command restore_command();
Command completion_command();
Command version_command();
Command docs_command();

}  // namespace frameworks::cli
