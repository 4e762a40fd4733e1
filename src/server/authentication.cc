#include "server/authentication.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "runtime/access/rate_limit.h"

namespace frameworks {

namespace {

constexpr int64_t kFailures = 100;
constexpr int64_t kFailuresPerSecond = 10;

}  // namespace

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

Result<Caller> Authentication::identify(std::string_view authorization, std::string_view node,
                                        std::string_view source) const {
  Caller caller;
  if (authorization.empty()) {
    if (!node.empty()) caller = {pb::ACCESS_NODE, std::string("node/").append(node)};
    caller.source = source;
    return caller;
  }
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size() ||
      to_lower(authorization.substr(0, kScheme.size())) != kScheme)
    return Error(Code::kUnauthenticated, "authorization: only \"Bearer <token>\" is understood");
  auto found = caller_of(trim(authorization.substr(kScheme.size())), source);
  if (!found && found.error().code() == Code::kUnauthenticated &&
      !failures_->allow(source.substr(source.find(' ') + 1), system_clock().mono()))
    return Error(Code::kResourceExhausted,
                 "too many wrong tokens from this address: try again in a second");
  if (!found) return std::move(found.error());
  caller = std::move(*found);
  caller.source = source;
  return caller;
}

Result<Caller> Authentication::caller_of(std::string_view token, std::string_view source) const {
  if (account_tokens_ && token.starts_with("fwt_"))
    return account_tokens_(token, source.substr(source.find(' ') + 1));
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
