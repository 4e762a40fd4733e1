#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "frameworks/v1/access_api.grpc.pb.h"
#include "model/json.h"
#include "model/words.h"

namespace frameworks::cli {

Command access_token_create_command() {
  return {
      .name = "access-token create",
      .summary = "Make a token with which a program uses the API as an account",
      .help =
          "The token is shown this once. Administrators make tokens of any account, others of "
          "their "
          "own.\n"
          "A token has at most its account's role, and sees what its account sees.",
      .examples = {{"access-token create --account ci", "for 30 days, with the account's role"},
                   {"access-token create --account ci --role viewer --ttl 8h",
                    "only to read, today"},
                   {"access-token create --account shop --rate 50",
                    "50 requests a second at most"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string account, role, description;
          std::string ttl = "720h";
          int64_t rate = 0;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("--account", options->account, "Whose token it is")->required();
        app.add_option("--role", options->role, "Less than the account's: viewer, operator, admin")
            ->check(CLI::IsMember({"viewer", "operator", "admin"}));
        app.add_option("--description", options->description, "What it is for");
        app.add_option("--ttl", options->ttl, "How long it is good, e.g. 8h")
            ->capture_default_str();
        app.add_option("--rate", options->rate, "Requests a second; 0: the tenant's limit, or none")
            ->check(CLI::Range(int64_t{0}, int64_t{1'000'000'000}));
        app.add_flag("--dry-run", options->dry_run, "Only say whether it would be made");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const Duration ttl, parse_duration(options->ttl));
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::CreateTokenRequest request;
          request.set_account(options->account);
          if (const auto* role = find_enum(*pb::Role_descriptor(), options->role); role != nullptr)
            request.set_role(static_cast<pb::Role>(role->number()));
          request.set_description(options->description);
          request.mutable_ttl()->set_seconds(
              std::chrono::duration_cast<std::chrono::seconds>(ttl).count());
          request.set_rate(options->rate);
          request.set_dry_run(options->dry_run);
          ASSIGN_OR_RETURN(const pb::CreateTokenResponse response,
                           client->call(*client->stub<pb::Accounts>(),
                                        &pb::Accounts::StubInterface::CreateToken, request));
          if (context.json) {
            context.terminal.out << pretty_json(to_json(response, Secrets::kShow)) << "\n";
          } else if (options->dry_run) {
            context.terminal.out << "would be made\n";
          } else {
            // The token alone on standard output, so that it can be put into a file.
            context.terminal.out << response.token() << "\n";
            context.terminal.err << fmt::format("AccessToken/{} is good for {}\n", response.name(),
                                                human_duration(ttl));
          }
          return kExitOk;
        };
      },
  };
}

Command access_token_revoke_command() {
  return {
      .name = "access-token revoke",
      .summary = "Take back a token of an account",
      .help = "It is refused from the next request on. `frameworks get accesstokens` lists them.",
      .examples = {{"access-token revoke 3f9ac04d21b7", "by its name, the part after fwt_"}},
      .setup = [](CLI::App& app) -> Run {
        struct Options {
          std::string name;
          bool dry_run = false;
        };
        auto options = std::make_shared<Options>();
        app.add_option("NAME", options->name, "Of the AccessToken")->required();
        app.add_flag("--dry-run", options->dry_run, "Only say whether it would be revoked");
        return [options](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          pb::RevokeTokenRequest request;
          request.set_name(options->name);
          request.set_dry_run(options->dry_run);
          const auto done = client->call(*client->stub<pb::Accounts>(),
                                         &pb::Accounts::StubInterface::RevokeToken, request);
          if (!done) return done.error();
          if (context.json)
            context.terminal.out << "{}\n";
          else
            context.terminal.out << fmt::format("AccessToken/{} {}\n", options->name,
                                                options->dry_run ? "would be revoked" : "revoked");
          return kExitOk;
        };
      },
  };
}

Command whoami_command() {
  return {
      .name = "whoami",
      .summary = "Say whom the server takes you for",
      .help = "Account, role, the tenant that the account is bound to, and when the token expires.",
      .examples = {{"whoami", "for people"}, {"whoami --json", "for programs"}},
      .setup = [](CLI::App&) -> Run {
        return [](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const auto client, context.connect());
          ASSIGN_OR_RETURN(const pb::WhoAmIResponse who,
                           client->call(*client->stub<pb::Accounts>(),
                                        &pb::Accounts::StubInterface::WhoAmI, pb::WhoAmIRequest()));
          if (context.json) {
            context.terminal.out << pretty_json(to_json(who)) << "\n";
            return kExitOk;
          }
          context.terminal.out << fmt::format(
              "account/{}, {}, {}\n", who.account(), word(who.role()),
              who.tenant().empty() ? "the whole fleet" : "bound to tenant " + who.tenant());
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
