// Tokens of accounts: "fwt_<name>_<secret>", the name that of the AccessToken.
//
// The store holds SHA-256 of the secret, which has 160 random bits: nothing slower is needed. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "frameworks/v1/access.pb.h"
#include "model/snapshot.h"

namespace frameworks {

struct TokenText {
  std::string_view name;
  std::string_view secret;
};
// Empty when it has not the form.
std::optional<TokenText> parse_token(std::string_view text);

struct NewToken {
  std::string text;         // shown once
  std::string secret_hash;  // for the store
};
NewToken make_token(std::string_view name);

// Whom a token stands for.
struct Principal {
  std::string account;
  pb::Role role = pb::ROLE_UNSPECIFIED;  // the lower one of token and account
  std::string tenant;                    // empty: the whole fleet
  std::string token;
  std::optional<WallTime> expires;
  int64_t rate = 0;         // requests a second of this token; 0: no limit
  int64_t tenant_rate = 0;  // of all the tenant's tokens together; 0: no limit
};

enum class TokenRefusal {
  kUnknown,  // no such token, or not its secret
  kRevoked,
  kExpired,
  kDisabled,  // the account is disabled or gone, or its tenant is
};
inline constexpr int kTokenRefusals = 4;
std::string_view token_refusal_name(TokenRefusal refusal);
// For the caller. Who has not the secret learns nothing of whether there is such a token.
Error refusal_error(TokenRefusal refusal);

struct TokenVerdict {
  std::optional<TokenRefusal> refusal;
  Principal principal;  // when it was not refused
};
TokenVerdict verify_token(const Snapshot& snapshot, std::string_view text, WallTime now);

}  // namespace frameworks
