#include "runtime/access/token.h"

#include <fmt/format.h>

#include "base/text.h"
#include "frameworks/v1/tenant.pb.h"

namespace frameworks {
namespace {

constexpr std::string_view kPrefix = "fwt_";
constexpr size_t kSecretBytes = 20;

// RFC 4648, lower case: easily told apart, selected by a double click, no padding for 20 bytes.
std::string base32(std::string_view bytes) {
  static constexpr char kDigits[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string out;
  unsigned buffer = 0;
  int bits = 0;
  for (const char c : bytes) {
    buffer = buffer << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 5; bits -= 5) out += kDigits[buffer >> (bits - 5) & 31];
  }
  return out;
}

WallTime wall_time(const google::protobuf::Timestamp& time) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::seconds(time.seconds()) + std::chrono::nanoseconds(time.nanos())));
}

}  // namespace

std::optional<TokenText> parse_token(std::string_view text) {
  if (!text.starts_with(kPrefix)) return {};
  text.remove_prefix(kPrefix.size());
  const size_t end = text.find('_');  // a name has none
  if (end == std::string_view::npos || end == 0 || end + 1 == text.size()) return {};
  return TokenText{text.substr(0, end), text.substr(end + 1)};
}

NewToken make_token(std::string_view name) {
  const std::string secret = base32(random_bytes(kSecretBytes));
  return {fmt::format("{}{}_{}", kPrefix, name, secret), sha256_hex(secret)};
}

std::string_view token_refusal_name(TokenRefusal refusal) {
  switch (refusal) {
    case TokenRefusal::kUnknown:
      return "unknown";
    case TokenRefusal::kRevoked:
      return "revoked";
    case TokenRefusal::kExpired:
      return "expired";
    case TokenRefusal::kDisabled:
      return "disabled";
  }
  return "";
}

Error refusal_error(TokenRefusal refusal) {
  switch (refusal) {
    case TokenRefusal::kUnknown:
      break;
    case TokenRefusal::kRevoked:
      return {Code::kUnauthenticated, "the token was revoked: log in again, or ask for a new one"};
    case TokenRefusal::kExpired:
      return {Code::kUnauthenticated, "the token has expired: log in again, or ask for a new one"};
    case TokenRefusal::kDisabled:
      return {Code::kUnauthenticated, "the token's account is disabled: ask an administrator"};
  }
  return {Code::kUnauthenticated,
          "unknown token: use the one in admin.token of the server's state folder, or ask an "
          "administrator"};
}

TokenVerdict verify_token(const Snapshot& snapshot, std::string_view text, WallTime now) {
  const TokenText parts = parse_token(text).value_or(TokenText{});
  const auto* token = snapshot.find<pb::AccessToken>(parts.name);
  // Hash and compare also when there is no such token, so that time tells nothing.
  static const std::string kNoHash(64, '0');
  const std::string& hash = token == nullptr ? kNoHash : token->spec().secret_hash();
  if (!equal_secrets(sha256_hex(parts.secret), hash) || token == nullptr)
    return {TokenRefusal::kUnknown, {}};
  const pb::AccessTokenSpec& spec = token->spec();
  if (spec.revoked()) return {TokenRefusal::kRevoked, {}};
  Principal out;
  if (spec.has_expire_time()) {
    out.expires = wall_time(spec.expire_time());
    if (*out.expires <= now) return {TokenRefusal::kExpired, {}};
  }
  const auto* account = snapshot.find<pb::Account>(spec.account());
  if (account == nullptr || account->spec().disabled() || account->metadata().has_delete_time())
    return {TokenRefusal::kDisabled, {}};
  out.account = spec.account();
  out.tenant = account->spec().tenant();
  out.token = token->metadata().name();
  out.role = account->spec().role();
  if (spec.role() != pb::ROLE_UNSPECIFIED) out.role = std::min(out.role, spec.role());
  out.rate = spec.rate();
  if (!out.tenant.empty()) {
    const auto* tenant = snapshot.find<pb::Tenant>(out.tenant);
    if (tenant == nullptr || tenant->metadata().has_delete_time())
      return {TokenRefusal::kDisabled, {}};
    out.tenant_rate = tenant->spec().limits().api_rate();
  }
  return {std::nullopt, std::move(out)};
}

}  // namespace frameworks
