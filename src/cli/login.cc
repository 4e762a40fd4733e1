#include <fmt/format.h>
#include <unistd.h>

#include <boost/json/object.hpp>
#include <iostream>
#include <iterator>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/own_profile.h"
#include "frameworks/v1/access_api.grpc.pb.h"
#include "model/json.h"
#include "model/words.h"
#include "runtime/openid/device_flow.h"

namespace frameworks::cli {
namespace {

struct LoginOptions {
  std::string provider;
  std::string id_token_file;
};

Result<pb::LoginProvider> choose_provider(const Client& client, const std::string& wanted) {
  ASSIGN_OR_RETURN(
      const pb::ListProvidersResponse all,
      client.call(*client.stub<pb::Accounts>(), &pb::Accounts::StubInterface::ListProviders,
                  pb::ListProvidersRequest()));
  std::string names;
  for (const pb::LoginProvider& provider : all.providers()) {
    if (provider.name() == wanted) return provider;
    names += (names.empty() ? "" : ", ") + provider.name();
  }
  if (all.providers().empty())
    return Error(Code::kFailedPrecondition,
                 "the server knows no place to log in: an administrator applies an "
                 "IdentityProvider");
  if (!wanted.empty())
    return Error(Code::kInvalidArgument,
                 fmt::format("provider \"{}\" does not exist: one of {}", wanted, names));
  if (all.providers_size() > 1)
    return Error(Code::kInvalidArgument, fmt::format("name the provider: one of {}", names));
  return all.providers(0);
}

// People read it, so it goes to standard error; programs get a line of JSON.
void show_code(const Context& context, const DeviceCode& code) {
  if (context.json) {
    boost::json::object line{{"verificationUri", code.uri},
                             {"userCode", code.user_code},
                             {"expiresIn", code.expires.count()}};
    if (!code.complete_uri.empty()) line["verificationUriComplete"] = code.complete_uri;
    context.terminal.out << json_text(line) << "\n" << std::flush;
    return;
  }
  context.terminal.err << fmt::format("Open {} and enter the code {} within {}.\n", code.uri,
                                      context.terminal.paint(Colour::kBold, code.user_code),
                                      human_duration(code.expires));
  if (!code.complete_uri.empty())
    context.terminal.err << fmt::format("Or open {}\n", code.complete_uri);
  context.terminal.err << std::flush;
}

Result<std::string> read_id_token(const std::string& path) {
  if (path == "-")
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  return read_file(path);
}

Result<std::string> get_id_token(Context& context, const pb::LoginProvider& provider) {
  const auto own = context.web == nullptr ? make_web_client() : nullptr;
  WebClient& web = context.web == nullptr ? *own : *context.web;
  context.on_interrupt();
  ASSIGN_OR_RETURN(const IssuerMetadata issuer,
                   discover_issuer(web, provider.issuer(), context.stop));
  const OpenIdClient client{provider.client_id(),
                            {provider.scopes().begin(), provider.scopes().end()}};
  ASSIGN_OR_RETURN(const DeviceCode code, begin_device_flow(web, issuer, client, context.stop));
  show_code(context, code);
  return await_id_token(web, context.clock, issuer, client, code, context.stop);
}

Status tell_who(const Context& context, const Profile& profile, const std::string& token_file) {
  Profile now = profile;
  now.token_file = token_file;
  ASSIGN_OR_RETURN(const auto client, Client::connect(now));
  ASSIGN_OR_RETURN(const pb::WhoAmIResponse who,
                   client->call(*client->stub<pb::Accounts>(), &pb::Accounts::StubInterface::WhoAmI,
                                pb::WhoAmIRequest()));
  if (context.json) {
    auto line = to_json(who);
    line.get_object()["tokenFile"] = token_file;
    context.terminal.out << json_text(line) << "\n";
    return {};
  }
  context.terminal.out << fmt::format(
      "logged in as account/{}, {}, {}, until {}\n", who.account(), word(who.role()),
      who.tenant().empty() ? "the whole fleet" : "bound to tenant " + who.tenant(),
      rfc3339(WallTime(std::chrono::seconds(who.expire_time().seconds()))));
  return {};
}

Result<int> log_in(Context& context, const LoginOptions& options) {
  ASSIGN_OR_RETURN(const Profile profile, find_profile(context.profile));
  ASSIGN_OR_RETURN(const auto client, Client::connect(profile, Client::As::kNobody));
  ASSIGN_OR_RETURN(const pb::LoginProvider provider, choose_provider(*client, options.provider));
  ASSIGN_OR_RETURN(const std::string id_token, options.id_token_file.empty()
                                                   ? get_id_token(context, provider)
                                                   : read_id_token(options.id_token_file));
  pb::LoginRequest request;
  request.set_provider(provider.name());
  request.set_id_token(std::string(trim(id_token)));
  ASSIGN_OR_RETURN(
      const pb::CreateTokenResponse made,
      client->call(*client->stub<pb::Accounts>(), &pb::Accounts::StubInterface::Login, request));
  ASSIGN_OR_RETURN(const std::string kept, keep_login(context.profile, profile, made.token()));
  RETURN_IF_ERROR(tell_who(context, profile, kept));
  return kExitOk;
}

Result<int> log_out(Context& context) {
  ASSIGN_OR_RETURN(const Profile profile, find_profile(context.profile));
  ASSIGN_OR_RETURN(const auto client, Client::connect(profile));
  const auto done =
      client->call(*client->stub<pb::Accounts>(), &pb::Accounts::StubInterface::RevokeToken,
                   pb::RevokeTokenRequest());
  // One that has expired, or that somebody revoked, is as good as revoked.
  if (!done && done.error().code() != Code::kUnauthenticated) return done.error();
  RETURN_IF_ERROR(forget_login(profile));
  context.terminal.out << (context.json ? "{}" : "logged out") << "\n";
  return kExitOk;
}

}  // namespace

Command login_command() {
  return {
      .name = "login",
      .summary = "Log in at an identity provider",
      .help =
          "Shows an address and a code, which you enter in any browser, on any device; then a "
          "token "
          "of your\n"
          "account is kept in ~/.config/frameworks (or in --token-file) and used from now on. It "
          "is "
          "never shown.\n"
          "Programs that have an ID token already give it in a file. --json prints the address and "
          "the code,\n"
          "then who you are, a line each.",
      .examples = {{"login", "at the only provider"},
                   {"login corp", "at one of several"},
                   {"login ci --id-token-file token.jwt", "with an ID token, without a browser"},
                   {"--server fleet.example.org:19002 --ca-file ca.pem login",
                    "there, and from now on"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<LoginOptions>();
        app.add_option("PROVIDER", options->provider,
                       "An IdentityProvider; needless where there is one");
        app.add_option("--id-token-file", options->id_token_file,
                       "File with an ID token of the provider; -: standard input");
        return [options](Context& context) { return log_in(context, *options); };
      },
  };
}

Command logout_command() {
  return {
      .name = "logout",
      .summary = "End a log-in: revoke its token and forget it",
      .help = "The token is refused from the next request on, wherever it was copied to.",
      .examples = {{"logout", ""}},
      .setup = [](CLI::App&) -> Run { return [](Context& context) { return log_out(context); }; },
  };
}

}  // namespace frameworks::cli
