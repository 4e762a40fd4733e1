#include "cli/commands.h"
#include "cli/tenant_text.h"

namespace frameworks::cli {
namespace {

template <typename Request>
Run setup(CLI::App& app, const char* what,
          grpc::Status (pb::Tenants::StubInterface::*method)(grpc::ClientContext*, const Request&,
                                                             pb::TenantResponse*)) {
  struct Options {
    std::string name;
    bool dry_run = false;
  };
  auto options = std::make_shared<Options>();
  app.add_option("NAME", options->name, "The tenant")->required();
  app.add_flag("--dry-run", options->dry_run, "Only say whether it would be");
  return [=](Context& context) -> Result<int> {
    Request request;
    request.set_tenant(options->name);
    request.set_dry_run(options->dry_run);
    ASSIGN_OR_RETURN(const auto client, context.connect());
    ASSIGN_OR_RETURN(const pb::TenantResponse response,
                     client->call(*client->stub<pb::Tenants>(), method, request));
    return show_tenant(context, response, what, options->dry_run);
  };
}

}  // namespace

Command tenant_suspend_command() {
  return {.name = "tenant suspend",
          .summary = "Refuse a tenant everywhere, and keep all that it has",
          .help = "Media servers refuse it from the next publisher on. Ended by tenant resume.",
          .examples = {{"tenant suspend acme", "until it is resumed"}},
          .setup = [](CLI::App& app) {
            return setup<pb::SuspendTenantRequest>(app, "suspended",
                                                   &pb::Tenants::StubInterface::Suspend);
          }};
}

Command tenant_resume_command() {
  return {.name = "tenant resume",
          .summary = "End a tenant's suspension",
          .help = "",
          .examples = {{"tenant resume acme", "it is served again"}},
          .setup = [](CLI::App& app) {
            return setup<pb::ResumeTenantRequest>(app, "resumed",
                                                  &pb::Tenants::StubInterface::Resume);
          }};
}

}  // namespace frameworks::cli
