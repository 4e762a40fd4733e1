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
                                                 tenant_context_command(),
                                                 operation_list_command(),
                                                 operation_watch_command(),
                                                 operation_cancel_command(),
                                                 inventory_command(),
                                                 node_power_on_command(),
                                                 node_power_off_command(),
                                                 drain_command(),
                                                 resume_command(),
                                                 discover_command(),
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
  if (group == "tenant") return "What a tenant's programs are told";
  if (group == "operation") return "Long work: list it, follow it, stop it";
  if (group == "node") return "Switch machines on and off";
  if (group == "token") return "Tokens that let machines join";
  if (group == "access-token") return "Tokens with which programs use the API";
  if (group == "audit") return "Who changed what, and whether that record is whole";
  return {};
}

}  // namespace frameworks::cli
