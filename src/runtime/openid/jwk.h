// An issuer's public keys: JSON Web Key sets (RFC 7517, 7518, 8037). Pure.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "runtime/openid/jws.h"

struct evp_pkey_st;

namespace frameworks {

struct Jwk {
  std::string id;  // empty: it has none
  // The only one that the key is good for.
  JwsAlgorithm algorithm = JwsAlgorithm::kRs256;
  std::shared_ptr<evp_pkey_st> key;
};

// The keys that can verify a Jws: RSA of 2048 to 8192 bits, P-256, Ed25519. Others in the set
// (other types, for encryption, broken ones) are left out. kInvalidArgument when it is no set, or
// one of more than 64 keys.
Result<std::vector<Jwk>> parse_jwk_set(std::string_view text);

enum class Verdict {
  kGood,
  kNoKey,  // none of its id and algorithm; without an id: none, or several of its algorithm
  kBad,    // the signature is not the key's
};
Verdict verify_jws(const Jws& jws, std::span<const Jwk> keys);

}  // namespace frameworks
