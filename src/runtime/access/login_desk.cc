#include "runtime/access/login_desk.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include "base/log.h"
#include "base/text.h"
#include "model/identity.h"
#include "runtime/access/change_rules.h"
#include "runtime/access/token.h"
#include "runtime/openid/id_token.h"

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

constexpr int64_t kPerSecond = 10;
constexpr int64_t kTokenSeconds = 12 * 3600;
constexpr size_t kNameDigits = 24;  // 96 bits

// Of the AccessToken. By what was signed: an ECDSA signature has a second form that is as good.
std::string token_name(const Jws& jws) {
  return "login-" + sha256_hex(jws.signed_text).substr(0, kNameDigits);
}

// The account that may log in; nullptr for nobody, also where one may not.
const pb::Account* find_account(const Snapshot& snapshot, const std::string& issuer,
                                const std::string& subject) {
  const auto found = snapshot.find_by<pb::Account>("identity", identity_key(issuer, subject));
  if (found.size() != 1) return nullptr;
  const pb::Account& account = *found.front();
  const bool tenant_gone = !account.spec().tenant().empty() &&
                           snapshot.find<pb::Tenant>(account.spec().tenant()) == nullptr;
  if (account.spec().disabled() || account.metadata().has_delete_time() || tenant_gone)
    return nullptr;
  return snapshot.find<pb::Account>(account.metadata().name());
}

// Tells the caller its own identity, which it has proven, so that an administrator can be given it.
Error nobody(const std::string& issuer, const std::string& subject) {
  return {
      Code::kUnauthenticated,
      fmt::format("subject \"{}\" of {} may not log in here: ask an administrator to name it in "
                  "an account",
                  subject, issuer)};
}

google::protobuf::Timestamp expiry(WallTime now, const pb::IdentityProvider& provider) {
  const int64_t given = provider.spec().token_seconds();
  return TimeUtil::SecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count() +
      (given == 0 ? kTokenSeconds : given));
}

}  // namespace

void fill_providers(const Snapshot& snapshot, pb::ListProvidersResponse& response) {
  for (const auto& provider : snapshot.list<pb::IdentityProvider>()) {
    pb::LoginProvider& out = *response.add_providers();
    out.set_name(provider->metadata().name());
    out.set_issuer(provider->spec().issuer());
    out.set_client_id(provider->spec().client_id());
    *out.mutable_scopes() = provider->spec().scopes();
    if (out.scopes().empty()) out.add_scopes("openid");
  }
}

LoginDesk::LoginDesk(Store& store, Clock& clock, WebClient& web, Options options)
    : store_(store), clock_(clock), keys_(web, clock), limits_(kPerSecond, options.at_once) {}

Result<pb::CreateTokenResponse> LoginDesk::log_in(const pb::LoginRequest& request,
                                                  const std::string& source) {
  if (!limits_.allow(source.substr(source.find(' ') + 1), clock_.mono()))
    return Error(Code::kResourceExhausted,
                 "too many log-ins from this address: try again in a second");
  auto done = trade(request, source);
  ++(done ? admitted_ : refused_);
  // What the caller made up does not go into the log: of kNotFound the name is such.
  if (!done && done.error().code() != Code::kNotFound)
    spdlog::info("access: log-in by {} from {} refused: {}", request.provider(), source,
                 done.error().message());
  return done;
}

Result<pb::CreateTokenResponse> LoginDesk::trade(const pb::LoginRequest& request,
                                                 const std::string& source) {
  const SnapshotPtr snapshot = store_.snapshot();
  const auto* provider = snapshot->find<pb::IdentityProvider>(request.provider());
  if (provider == nullptr) return not_found({"IdentityProvider", {}, request.provider()});
  const std::string& issuer = provider->spec().issuer();
  const auto refuse = [](Error error) {
    return Error(Code::kUnauthenticated, "the ID token " + error.message());
  };

  const Result<Jws> jws = parse_jws(request.id_token());
  if (!jws) return refuse(jws.error());
  // Before the signature, so that what is not ours makes nobody ask the issuer.
  const Result<std::string> subject = check_id_token(
      jws->payload, {issuer, provider->spec().client_id(), request.nonce(), clock_.wall()});
  if (!subject) return refuse(subject.error());
  if (const Status good = keys_.verify(issuer, *jws); !good)
    return good.error().code() == Code::kUnauthenticated ? refuse(good.error()) : good.error();

  const auto* account = find_account(*snapshot, issuer, *subject);
  if (account == nullptr) return nobody(issuer, *subject);
  const std::string account_name = account->metadata().name();
  const std::string name = token_name(*jws);
  const NewToken made = make_token(name);
  pb::CreateTokenResponse response;
  const Edit edit = [&](Transaction& transaction) -> Status {
    // Everything anew: the fleet may have changed while the issuer was asked.
    const Snapshot& now = transaction.snapshot();
    const auto* found = find_account(now, issuer, *subject);
    if (found == nullptr || found->metadata().name() != account_name)
      return nobody(issuer, *subject);
    if (now.find<pb::AccessToken>(name) != nullptr)
      return Error(Code::kUnauthenticated, "the ID token was used already: log in again");
    pb::AccessToken token;
    token.mutable_metadata()->set_name(name);
    token.mutable_spec()->set_account(account_name);
    token.mutable_spec()->set_description("log-in by " + request.provider());
    token.mutable_spec()->set_secret_hash(made.secret_hash);
    *token.mutable_spec()->mutable_expire_time() = expiry(transaction.time(), *provider);
    *response.mutable_expire_time() = token.spec().expire_time();
    transaction.put(std::move(token));
    return {};
  };
  const auto written = store_.write({"account/" + account_name, source}, edit);
  if (!written) return written.error();
  response.set_name(name);
  response.set_token(made.text);
  return response;
}

}  // namespace frameworks
