// Accounts: tokens, and whom the server takes a caller for.
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include "base/text.h"
#include "frameworks/v1/access_api.pb.h"
#include "runtime/access/change_rules.h"
#include "runtime/access/token.h"
#include "server/handlers.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

constexpr int64_t kDefaultTtlSeconds = 720 * 3600;
constexpr int64_t kMaxTtlSeconds = 8760 * 3600;

pb::Role role_of(const Caller& caller) {
  switch (caller.role) {
    case pb::ACCESS_ADMIN:
      return pb::ROLE_ADMIN;
    case pb::ACCESS_OPERATOR:
      return pb::ROLE_OPERATOR;
    case pb::ACCESS_VIEWER:
      return pb::ROLE_VIEWER;
    default:
      return pb::ROLE_UNSPECIFIED;
  }
}

std::string account_of(const Caller& caller) {
  constexpr std::string_view kPrefix = "account/";
  return caller.name.starts_with(kPrefix) ? caller.name.substr(kPrefix.size()) : std::string();
}

bool is_admin(const Caller& caller) { return caller.role == pb::ACCESS_ADMIN; }

Status write(const Fleet& fleet, const Caller& caller, const Edit& edit, bool dry_run) {
  const auto done =
      dry_run ? fleet.store.dry_run(edit, nullptr) : fleet.store.write(actor(caller), edit);
  if (!done) return done.error();
  return {};
}

// The account for which `caller` may make or revoke tokens: administrators any that they see,
// others their own. What is not seen and what is not theirs answers alike.
Result<const pb::Account*> account_for(const Snapshot& snapshot, const Caller& caller,
                                       const std::string& name) {
  const Visibility visibility(snapshot, caller.tenant);
  const ResourceKey key{"Account", {}, name};
  const Resource* found = visibility.find(key);
  const bool theirs = is_admin(caller) || name == account_of(caller);
  if (found == nullptr || !theirs) return not_found(key);
  return &found->as<pb::Account>();
}

Status fill_token(const Transaction& transaction, const Caller& caller,
                  const pb::CreateTokenRequest& request, pb::AccessToken& token) {
  ASSIGN_OR_RETURN(const pb::Account* account,
                   account_for(transaction.snapshot(), caller, request.account()));
  pb::AccessTokenSpec& spec = *token.mutable_spec();
  spec.set_account(request.account());
  spec.set_role(request.role() == pb::ROLE_UNSPECIFIED
                    ? std::min(account->spec().role(), role_of(caller))
                    : request.role());
  if (spec.role() > account->spec().role() || spec.role() > role_of(caller))
    return Error::invalid(
        {{{}, 0, "", "role", "is more than the account has, or than you have: ask for less"}});
  const int64_t ttl = request.has_ttl() ? request.ttl().seconds() : kDefaultTtlSeconds;
  if (ttl <= 0 || ttl > kMaxTtlSeconds)
    return Error::invalid(
        {{{}, 0, "", "ttl", fmt::format("{} s is out of range (1 s to 8760h)", ttl)}});
  spec.set_description(request.description());
  spec.set_rate(request.rate());
  *spec.mutable_expire_time() = TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(transaction.time().time_since_epoch())
          .count() +
      ttl * 1'000'000'000);
  return {};
}

Status create_token(const Fleet& fleet, const Caller& caller, const pb::CreateTokenRequest& request,
                    pb::CreateTokenResponse& response) {
  const std::string name = hex_encode(random_bytes(6));
  const NewToken made = make_token(name);
  const Edit edit = [&](Transaction& transaction) -> Status {
    pb::AccessToken token;
    token.mutable_metadata()->set_name(name);
    RETURN_IF_ERROR(fill_token(transaction, caller, request, token));
    token.mutable_spec()->set_secret_hash(made.secret_hash);
    *response.mutable_expire_time() = token.spec().expire_time();
    transaction.put(std::move(token));
    return {};
  };
  RETURN_IF_ERROR(write(fleet, caller, edit, request.dry_run()));
  if (request.dry_run()) return {};
  response.set_name(name);
  response.set_token(made.text);
  return {};
}

Status revoke_token(const Fleet& fleet, const Caller& caller,
                    const pb::RevokeTokenRequest& request) {
  const std::string name = request.name().empty() ? caller.token : request.name();
  if (name.empty())
    return Error(Code::kFailedPrecondition,
                 "the first administrator's token cannot be revoked: replace admin.token in the "
                 "server's state folder");
  const Edit edit = [&](Transaction& transaction) -> Status {
    const ResourceKey key{"AccessToken", {}, name};
    const auto* found = transaction.snapshot().find<pb::AccessToken>(name);
    if (found == nullptr || !account_for(transaction.snapshot(), caller, found->spec().account()))
      return not_found(key);
    pb::AccessToken token = *found;
    token.mutable_spec()->set_revoked(true);
    transaction.put(std::move(token));
    return {};
  };
  return write(fleet, caller, edit, request.dry_run());
}

Status who_am_i(const Snapshot& snapshot, const Caller& caller, pb::WhoAmIResponse& response) {
  response.set_account(account_of(caller));
  response.set_role(role_of(caller));
  response.set_tenant(caller.tenant);
  response.set_token(caller.token);
  if (const auto* token = snapshot.find<pb::AccessToken>(caller.token); token != nullptr)
    *response.mutable_expire_time() = token->spec().expire_time();
  return {};
}

}  // namespace

void add_account_methods(Api& api, const Fleet& fleet) {
  api.add<pb::CreateTokenRequest, pb::CreateTokenResponse>(
      "frameworks.v1.Accounts/CreateToken", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto& response) {
        return create_token(fleet, caller, request, response);
      });
  api.add<pb::RevokeTokenRequest, pb::RevokeTokenResponse>(
      "frameworks.v1.Accounts/RevokeToken", Runs::kWorker,
      [fleet](const Caller& caller, const auto& request, auto&) {
        return revoke_token(fleet, caller, request);
      });
  api.add<pb::WhoAmIRequest, pb::WhoAmIResponse>(
      "frameworks.v1.Accounts/WhoAmI", Runs::kInline,
      [&store = fleet.store](const Caller& caller, const auto&, auto& response) {
        return who_am_i(*store.snapshot(), caller, response);
      });
}

void add_login_methods(Api& api, const Fleet& fleet, LoginDesk& logins) {
  api.add<pb::ListProvidersRequest, pb::ListProvidersResponse>(
      "frameworks.v1.Accounts/ListProviders", Runs::kInline,
      [&store = fleet.store](const Caller&, const auto&, auto& response) -> Status {
        fill_providers(*store.snapshot(), response);
        return {};
      });
  api.add<pb::LoginRequest, pb::CreateTokenResponse>(
      "frameworks.v1.Accounts/Login", Runs::kWorker,
      [&logins](const Caller& caller, const auto& request, auto& response) -> Status {
        ASSIGN_OR_RETURN(response, logins.log_in(request, caller.source));
        return {};
      });
}

}  // namespace frameworks
