// Signed texts as ID tokens are: JSON Web Signature, compact serialization (RFC 7515), with a JSON
// object as payload (RFC 7519). Pure; reads bytes of anybody.
//
// Narrow on purpose (RFC 8725): three algorithms, each bound to one type of key; never "none", no
// shared keys, no extensions, no keys or addresses of keys taken from the text itself.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace frameworks {

enum class JwsAlgorithm {
  kRs256,  // RSASSA-PKCS1-v1_5 with SHA-256
  kEs256,  // ECDSA with P-256 and SHA-256
  kEdDsa,  // Ed25519 (RFC 8037)
};

struct Jws {
  JwsAlgorithm algorithm = JwsAlgorithm::kRs256;
  std::string key_id;       // empty: the header has none
  std::string signed_text;  // header and payload, as they were signed
  std::string signature;    // bytes
  boost::json::object payload;
};

inline constexpr size_t kMaxJwsSize = 16 * 1024;

// kInvalidArgument, as a clause that follows "the ID token".
Result<Jws> parse_jws(std::string_view text);

// A JSON object whose members have different names, at every depth; bounded in size and depth.
// kInvalidArgument, as a clause.
Result<boost::json::object> parse_strict_object(std::string_view text);

// RFC 4648, section 5, without padding; one text for each value. kInvalidArgument.
Result<std::string> base64url_decode(std::string_view text);

// A member's string; empty when it is absent or none.
std::string_view string_member(const boost::json::object& object, std::string_view name);

}  // namespace frameworks
