#include "server/authentication.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "runtime/access/rate_limit.h"

namespace frameworks {

namespace {

constexpr int64_t kFailures = 100;
constexpr int64_t kFailuresPerSecond = 10;

pb::Access access_of(pb::Role role) {
  return role == pb::ROLE_ADMIN      ? pb::ACCESS_ADMIN
         : role == pb::ROLE_OPERATOR ? pb::ACCESS_OPERATOR
                                     : pb::ACCESS_VIEWER;
}

}  // namespace

LastCaller::~LastCaller() { OPENSSL_cleanse(authorization_.data(), authorization_.size()); }

Authentication::Authentication() { limit_failures(kFailures); }
Authentication::Authentication(Authentication&&) noexcept = default;
Authentication& Authentication::operator=(Authentication&&) noexcept = default;
Authentication::~Authentication() = default;

void Authentication::limit_failures(int64_t at_once) {
  failures_ = std::make_unique<AddressLimits>(kFailuresPerSecond, at_once);
}

Result<Authentication> Authentication::load_or_create(const std::filesystem::path& state) {
  const auto path = state / "admin.token";
  if (!std::filesystem::exists(path)) {
    RETURN_IF_ERROR(write_file(path, "fw-" + hex_encode(random_bytes(32)) + "\n", 0600));
    spdlog::info("made the first administrator's token: {}", path.string());
  }
  ASSIGN_OR_RETURN(const std::string content, read_file(path));
  const std::string_view token = trim(content);
  if (token.size() < 32)
    return Error(Code::kFailedPrecondition,
                 fmt::format("{}: too short for a token; remove the file to have a new one made",
                             path.string()));
  Authentication authentication;
  authentication.add_token(token, {pb::ACCESS_ADMIN, "account/admin"});
  return authentication;
}

void Authentication::add_token(std::string_view token, Caller caller) {
  tokens_.push_back({sha256_hex(token), std::move(caller)});
}

Result<CallerPtr> Authentication::identify(std::string_view authorization, std::string_view node,
                                           std::string_view source, LastCaller& last) const {
  if (last.caller_ != nullptr && equal_secrets(last.authorization_, authorization)) {
    if (last.token_ == nullptr) return last.caller_;
    ASSIGN_OR_RETURN(const bool good, last.token_->admit_again(address_of(source)));
    if (good) return last.caller_;
  }
  last.caller_ = nullptr;
  last.token_ = nullptr;
  Caller caller;
  if (authorization.empty()) {
    if (!node.empty()) caller = {pb::ACCESS_NODE, std::string("node/").append(node)};
  } else {
    constexpr std::string_view kScheme = "bearer ";
    if (authorization.size() <= kScheme.size() ||
        to_lower(authorization.substr(0, kScheme.size())) != kScheme)
      return Error(Code::kUnauthenticated, "authorization: only \"Bearer <token>\" is understood");
    auto found = caller_of(trim(authorization.substr(kScheme.size())), source, last);
    if (!found && found.error().code() == Code::kUnauthenticated &&
        !failures_->allow(address_of(source), system_clock().mono()))
      return Error(Code::kResourceExhausted,
                   "too many wrong tokens from this address: try again in a second");
    if (!found) return std::move(found.error());
    caller = std::move(*found);
  }
  caller.source = source;
  OPENSSL_cleanse(last.authorization_.data(), last.authorization_.size());
  last.authorization_ = authorization;
  last.caller_ = std::make_shared<const Caller>(std::move(caller));
  return last.caller_;
}

Result<Caller> Authentication::caller_of(std::string_view token, std::string_view source,
                                         LastCaller& last) const {
  if (account_tokens_ && token.starts_with("fwt_")) {
    ASSIGN_OR_RETURN(last.token_, account_tokens_(token, address_of(source)));
    const Principal& principal = last.token_->principal();
    return Caller{access_of(principal.role), "account/" + principal.account, principal.tenant,
                  principal.token};
  }
  const std::string hash = sha256_hex(token);
  const Token* found = nullptr;
  for (const Token& known : tokens_)
    if (equal_secrets(known.hash, hash)) found = &known;
  if (found == nullptr)
    return Error(
        Code::kUnauthenticated,
        "unknown token: use the one in admin.token of the server's state folder, or ask an "
        "administrator");
  return found->caller;
}

}  // namespace frameworks
