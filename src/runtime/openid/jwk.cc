#include "runtime/openid/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include <boost/json/value.hpp>

namespace frameworks {
namespace {

namespace json = boost::json;

constexpr size_t kMaxKeys = 64;
constexpr size_t kCoordinate = 32;  // bytes, of P-256 and Ed25519
constexpr size_t kMinModulus = 2048 / 8;
constexpr size_t kMaxModulus = 8192 / 8;
constexpr size_t kMaxExponent = 8;

using Key = std::shared_ptr<evp_pkey_st>;
template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Number number_of(std::string_view bytes) {
  return Number(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

Key build(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return {key, EVP_PKEY_free};
}

bool is_sound(const Key& key) {
  if (key == nullptr) return false;
  const KeyContext context(EVP_PKEY_CTX_new(key.get(), nullptr));
  return context != nullptr && EVP_PKEY_public_check(context.get()) == 1;
}

// Empty when the member is absent or broken.
std::string bytes_member(const json::object& jwk, std::string_view name) {
  return base64url_decode(string_member(jwk, name)).value_or(std::string());
}

Key rsa_key(const json::object& jwk) {
  const std::string modulus = bytes_member(jwk, "n");
  const std::string exponent = bytes_member(jwk, "e");
  const Number n = number_of(modulus);
  const Number e = number_of(exponent);
  if (modulus.size() > kMaxModulus || exponent.size() > kMaxExponent || n == nullptr ||
      e == nullptr || BN_num_bits(n.get()) < static_cast<int>(kMinModulus * 8) ||
      BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) != 0)
    return nullptr;
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return build("RSA", builder.get());
}

Key p256_key(const json::object& jwk) {
  const std::string x = bytes_member(jwk, "x");
  const std::string y = bytes_member(jwk, "y");
  if (x.size() != kCoordinate || y.size() != kCoordinate) return nullptr;
  const std::string point = "\x04" + x + y;
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  Key key = build("EC", builder.get());
  return is_sound(key) ? key : nullptr;
}

Key ed25519_key(const json::object& jwk) {
  const std::string x = bytes_member(jwk, "x");
  if (x.size() != kCoordinate) return nullptr;
  return {EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()),
          EVP_PKEY_free};
}

bool is_for_signatures(const json::object& jwk) {
  if (jwk.contains("use") && string_member(jwk, "use") != "sig") return false;
  const auto* operations = jwk.if_contains("key_ops");
  if (operations == nullptr) return true;
  if (!operations->is_array()) return false;
  for (const json::value& operation : operations->get_array())
    if (operation == "verify") return true;
  return false;
}

// A key without `key` is none for us.
Jwk read_jwk(const json::object& jwk) {
  Jwk out;
  out.id = string_member(jwk, "kid");
  if (!is_for_signatures(jwk)) return out;
  const std::string_view type = string_member(jwk, "kty");
  const std::string_view curve = string_member(jwk, "crv");
  std::string_view algorithm;
  if (type == "RSA") {
    algorithm = "RS256";
    out.key = rsa_key(jwk);
    out.algorithm = JwsAlgorithm::kRs256;
  } else if (type == "EC" && curve == "P-256") {
    algorithm = "ES256";
    out.key = p256_key(jwk);
    out.algorithm = JwsAlgorithm::kEs256;
  } else if (type == "OKP" && curve == "Ed25519") {
    algorithm = "EdDSA";
    out.key = ed25519_key(jwk);
    out.algorithm = JwsAlgorithm::kEdDsa;
  }
  if (jwk.contains("alg") && string_member(jwk, "alg") != algorithm) out.key = nullptr;
  return out;
}

// OpenSSL wants r and s in DER; a Jws has them side by side (RFC 7518, section 3.4).
std::string der_signature(std::string_view signature) {
  if (signature.size() != 2 * kCoordinate) return {};
  using Signature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;
  const Signature out(ECDSA_SIG_new());
  Number r = number_of(signature.substr(0, kCoordinate));
  Number s = number_of(signature.substr(kCoordinate));
  if (out == nullptr || ECDSA_SIG_set0(out.get(), r.get(), s.get()) != 1) return {};
  static_cast<void>(r.release());  // now out's
  static_cast<void>(s.release());
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(out.get(), &der);
  if (size <= 0) return {};
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

bool is_signed_by(const Jws& jws, const Jwk& jwk) {
  const bool is_ec = jws.algorithm == JwsAlgorithm::kEs256;
  const std::string signature = is_ec ? der_signature(jws.signature) : jws.signature;
  const DigestContext context(EVP_MD_CTX_new());
  const EVP_MD* digest = jws.algorithm == JwsAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  return !signature.empty() && context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, jwk.key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                          bytes_of(jws.signed_text), jws.signed_text.size()) == 1;
}

}  // namespace

Result<std::vector<Jwk>> parse_jwk_set(std::string_view text) {
  const auto set = parse_strict_object(text);
  if (!set) return Error(Code::kInvalidArgument, "the key set " + set.error().message());
  const auto* keys = set->if_contains("keys");
  if (keys == nullptr || !keys->is_array())
    return Error(Code::kInvalidArgument, "the key set has no list \"keys\"");
  if (keys->get_array().size() > kMaxKeys)
    return Error(Code::kInvalidArgument, "the key set has more than 64 keys");
  std::vector<Jwk> out;
  for (const json::value& key : keys->get_array()) {
    if (!key.is_object()) continue;
    Jwk jwk = read_jwk(key.get_object());
    if (jwk.key != nullptr) out.push_back(std::move(jwk));
  }
  ERR_clear_error();
  return out;
}

Verdict verify_jws(const Jws& jws, std::span<const Jwk> keys) {
  const Jwk* found = nullptr;
  for (const Jwk& key : keys) {
    if (key.algorithm != jws.algorithm) continue;
    if (!jws.key_id.empty() && key.id != jws.key_id) continue;
    // Two of one id, or several without: nothing tells which is meant.
    if (found != nullptr) return Verdict::kNoKey;
    found = &key;
  }
  if (found == nullptr) return Verdict::kNoKey;
  const bool good = is_signed_by(jws, *found);
  // What is left of a refusal would be taken for an error of the thread's next TLS connection.
  ERR_clear_error();
  return good ? Verdict::kGood : Verdict::kBad;
}

}  // namespace frameworks
