#include "cli/client.h"

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdlib>

#include "base/dial.h"
#include "base/file.h"
#include "base/text.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

// The name in the server's certificate, however it is reached.
constexpr const char* kServerName = "quartermaster";

std::vector<std::filesystem::path> profile_paths() {
  std::vector<std::filesystem::path> out{own_profile_path(), "/run/frameworks/profile.json"};
  if (out.front().empty()) out.erase(out.begin());
  return out;
}

Status read_profile(const std::filesystem::path& path, Profile& profile) {
  ASSIGN_OR_RETURN(const std::string text, read_file(path));
  const Result<boost::json::value> json = parse_json(text);
  if (!json) return json.error().with_context(path.string());
  if (!json->is_object())
    return Error(Code::kInvalidArgument, fmt::format("{}: not a JSON object", path.string()));
  const auto take = [&](const char* key, std::string& out) {
    const auto* value = json->get_object().if_contains(key);
    if (out.empty() && value != nullptr && value->is_string())
      out = std::string(value->get_string());
  };
  take("server", profile.server);
  take("tokenFile", profile.token_file);
  take("caFile", profile.ca_file);
  return {};
}

Result<std::string> read_credential(const std::string& path, const char* what, const char* flag) {
  if (path.empty())
    return Error(
        Code::kInvalidArgument,
        fmt::format("no {} is known: give {} (./run writes a profile that names it)", what, flag));
  Result<std::string> text = read_file(path);
  if (!text) return text.error().with_context(fmt::format("{} ({})", what, flag));
  return text;
}

}  // namespace

std::filesystem::path own_profile_path() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (config != nullptr && *config != '\0')
    return std::filesystem::path(config) / "frameworks/profile.json";
  if (home != nullptr && *home != '\0')
    return std::filesystem::path(home) / ".config/frameworks/profile.json";
  return {};
}

Result<Profile> find_profile(Profile given) {
  for (const auto& path : profile_paths()) {
    if (!given.server.empty() && !given.token_file.empty() && !given.ca_file.empty()) break;
    std::error_code error;
    if (!std::filesystem::exists(path, error)) continue;
    RETURN_IF_ERROR(read_profile(path, given));
    break;  // the first profile counts whole, so that two installations never mix
  }
  if (given.server.empty()) given.server = "127.0.0.1:19002";
  return given;
}

Error from_grpc(const grpc::Status& status, const std::string& server) {
  const auto code = static_cast<Code>(status.error_code());
  if (code == Code::kUnavailable && !server.empty())
    return {code, fmt::format("the server at {} cannot be reached ({}): start it with ./run or "
                              "`systemctl start quartermaster`, or name another with --server",
                              server, status.error_message())};
  pb::Violations details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details()) ||
      details.violations().empty())
    return {code, status.error_message()};
  std::vector<Violation> violations;
  for (const pb::Violation& each : details.violations())
    violations.push_back(
        {each.origin().file(), each.origin().line(), each.object(), each.field(), each.message()});
  if (code == Code::kInvalidArgument) return Error::invalid(std::move(violations));
  return {code, status.error_message()};
}

Result<std::unique_ptr<Client>> Client::connect(const Profile& profile, As as) {
  ASSIGN_OR_RETURN(const std::string ca, read_credential(profile.ca_file, "CA file", "--ca-file"));
  std::string token;
  if (as == As::kAccount) {
    ASSIGN_OR_RETURN(token, read_credential(profile.token_file, "token file", "--token-file"));
  }
  // What goes wrong is told once, by the error of the call.
  gpr_set_log_function([](gpr_log_func_args*) {});
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ca;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(kServerName);
  arguments.SetMaxReceiveMessageSize(256 << 20);
  // Seen soon when a server that goes away takes the connection with it silently.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // Tried in this order; a call that finds one of them away goes to the next.
  ASSIGN_OR_RETURN(const std::string target, dial_target(profile.server));
  const auto channel = grpc::CreateCustomChannel(target, grpc::SslCredentials(tls), arguments);
  std::unique_ptr<Client> out(new Client);
  out->server_ = profile.server;
  out->token_ = std::string(trim(token));
  out->channel_ = channel;
  out->fleet_ = pb::Fleet::NewStub(channel);
  out->machines_ = pb::Machines::NewStub(channel);
  out->operations_ = pb::Operations::NewStub(channel);
  out->inventory_ = pb::Inventory::NewStub(channel);
  return out;
}

void Client::authorize(grpc::ClientContext& context) const {
  if (!token_.empty()) context.AddMetadata("authorization", "Bearer " + token_);
}

Error Client::failure(const grpc::Status& status) const {
  Error error = from_grpc(status, server_);
  if (error.code() != Code::kUnauthenticated || token_.empty()) return error;
  return {error.code(), error.message() + ": check --token-file, or `frameworks login`"};
}

gpr_timespec Client::deadline(std::chrono::seconds timeout) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_seconds(timeout.count(), GPR_TIMESPAN));
}

}  // namespace frameworks::cli
