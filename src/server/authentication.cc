#include "server/authentication.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

namespace frameworks {

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

Result<Caller> Authentication::identify(std::string_view authorization,
                                        std::string_view node) const {
  if (authorization.empty()) {
    if (node.empty()) return Caller{};
    return Caller{pb::ACCESS_NODE, std::string("node/").append(node)};
  }
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size() ||
      to_lower(authorization.substr(0, kScheme.size())) != kScheme)
    return Error(Code::kUnauthenticated, "authorization: only \"Bearer <token>\" is understood");
  const std::string hash = sha256_hex(trim(authorization.substr(kScheme.size())));
  const Token* found = nullptr;
  for (const Token& token : tokens_)
    if (equal_secrets(token.hash, hash)) found = &token;
  if (found == nullptr)
    return Error(
        Code::kUnauthenticated,
        "unknown token: use the one in admin.token of the server's state folder, or ask an "
        "administrator");
  return found->caller;
}

}  // namespace frameworks
