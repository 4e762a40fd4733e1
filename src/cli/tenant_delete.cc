#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/resources.h"
#include "cli/tenant_text.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

using namespace std::chrono_literals;

struct Options {
  std::string name;
  bool yes = false;
  bool dry_run = false;
  bool wait = false;
};

Result<pb::TenantResponse> ask(Client& client, const Options& options, bool dry_run) {
  pb::DeleteTenantRequest request;
  request.set_tenant(options.name);
  request.set_dry_run(dry_run);
  return client.call(*client.stub<pb::Tenants>(), &pb::Tenants::StubInterface::Delete, request);
}

void print_order(std::ostream& out, const pb::Tenant& tenant) {
  for (int i = 0; i < tenant.status().waiting_size(); ++i)
    out << fmt::format("  {}. {}\n", i + 1, tenant.status().waiting(i));
}

// Shows what goes, and takes a yes for it.
Status confirm(Context& context, Client& client, const Options& options) {
  ASSIGN_OR_RETURN(const pb::TenantResponse plan, ask(client, options, true));
  const std::string question = fmt::format("delete Tenant/{} for good?", options.name);
  if (options.yes) return {};
  context.terminal.err << fmt::format("Tenant/{} is refused at once; then go, in this order:\n",
                                      options.name);
  print_order(context.terminal.err, plan.tenant());
  if (!context.confirm)
    return Error(Code::kInvalidArgument,
                 fmt::format("{} Nobody is here to be asked: add --yes", question));
  if (!context.confirm(question)) return Error(Code::kFailedPrecondition, "nothing was deleted");
  return {};
}

// Follows until the tenant is gone; tells each time that something else is waited for.
Result<int> follow(Context& context, Client& client, const std::string& name) {
  context.on_interrupt();
  std::string told;
  while (true) {
    const auto found = get_resource(client, kind_of<pb::Tenant>(), {}, name);
    if (!found && found.error().code() == Code::kNotFound) {
      context.terminal.err << fmt::format("Tenant/{} is gone\n", name);
      return kExitOk;
    }
    if (!found && !is_retryable(found.error().code())) return found.error();
    if (found) {
      const auto& status = found->as<pb::Tenant>().status();
      const std::string now = status.waiting_size() == 0 ? "" : status.waiting(0);
      if (now != told) context.terminal.err << fmt::format("waiting: {}\n", now);
      told = now;
    }
    if (!context.clock.sleep_for(500ms, context.stop)) return kExitInterrupted;
  }
}

}  // namespace

Command tenant_delete_command() {
  return {
      .name = "tenant delete",
      .summary = "Delete a tenant and all that is its own, in order",
      .help =
          "It is refused everywhere at once. Then go its grants, the clusters that it runs with "
          "their nodes,\n"
          "its accounts, and at last its names. What is in the way is named and waited for; "
          "`frameworks get\n"
          "tenant NAME -o json` tells it under status.waiting. The audit trail stays.",
      .examples = {{"tenant delete acme --dry-run", "what would go, in order"},
                   {"tenant delete acme", "asks before"},
                   {"tenant delete acme --yes --wait", "in scripts, until it is gone"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->name, "The tenant")->required();
        app.add_flag("--yes", options->yes, "Do not ask");
        app.add_flag("--dry-run", options->dry_run, "Only show what would go, in order");
        app.add_flag("--wait", options->wait, "Until it is gone");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          if (!options->dry_run) {
            RETURN_IF_ERROR(confirm(context, *client, *options));
          }
          ASSIGN_OR_RETURN(const pb::TenantResponse response,
                           ask(*client, *options, options->dry_run));
          if (context.json) {
            context.terminal.out << pretty_json(to_json(response)) << "\n";
          } else {
            context.terminal.out << fmt::format(
                "Tenant/{} {}\n", options->name,
                options->dry_run ? "would be deleted, in this order:" : "is being deleted");
            if (options->dry_run) print_order(context.terminal.out, response.tenant());
          }
          if (options->dry_run || !options->wait) return kExitOk;
          context.terminal.out.flush();
          return follow(context, *client, options->name);
        };
      },
  };
}

}  // namespace frameworks::cli
