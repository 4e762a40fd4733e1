// An issuer for tests: real keys and signatures, and answers without a network. The real one that
// the log-in is tested with beside it: tests/login.
#pragma once

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <boost/json.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "base/web_client.h"
#include "runtime/openid/jws.h"

namespace frameworks {

inline std::string base64url_encode(std::string_view bytes) {
  std::string out = base64_encode(bytes);
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

// A key pair that signs tokens.
class FakeKey {
 public:
  explicit FakeKey(JwsAlgorithm algorithm, std::string id, unsigned rsa_bits = 2048)
      : algorithm_(algorithm), id_(std::move(id)) {
    EVP_PKEY* key = algorithm == JwsAlgorithm::kRs256 ? EVP_RSA_gen(rsa_bits)
                    : algorithm == JwsAlgorithm::kEs256
                        ? EVP_EC_gen("P-256")
                        : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    key_ = {key, EVP_PKEY_free};
  }

  const std::string& id() const { return id_; }
  std::string algorithm_name() const {
    return algorithm_ == JwsAlgorithm::kRs256   ? "RS256"
           : algorithm_ == JwsAlgorithm::kEs256 ? "ES256"
                                                : "EdDSA";
  }

  boost::json::object jwk() const {
    boost::json::object out{{"use", "sig"}, {"alg", algorithm_name()}};
    if (!id_.empty()) out["kid"] = id_;
    if (algorithm_ == JwsAlgorithm::kRs256) {
      out["kty"] = "RSA";
      out["n"] = number(OSSL_PKEY_PARAM_RSA_N, 0);
      out["e"] = number(OSSL_PKEY_PARAM_RSA_E, 0);
    } else if (algorithm_ == JwsAlgorithm::kEs256) {
      out["kty"] = "EC";
      out["crv"] = "P-256";
      out["x"] = number(OSSL_PKEY_PARAM_EC_PUB_X, 32);
      out["y"] = number(OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    } else {
      std::string raw(32, '\0');
      size_t size = raw.size();
      EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &size);
      out["kty"] = "OKP";
      out["crv"] = "Ed25519";
      out["x"] = base64url_encode(raw);
    }
    return out;
  }

  std::string sign(std::string_view text) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free);
    EVP_DigestSignInit(context.get(), nullptr,
                       algorithm_ == JwsAlgorithm::kEdDsa ? nullptr : EVP_sha256(), nullptr,
                       key_.get());
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    size_t size = 0;
    EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size());
    std::string out(size, '\0');
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes,
                   text.size());
    out.resize(size);
    return algorithm_ == JwsAlgorithm::kEs256 ? side_by_side(out) : out;
  }

  // With any header, as it is given.
  std::string token(const std::string& header, const std::string& payload) const {
    const std::string text = base64url_encode(header) + "." + base64url_encode(payload);
    return text + "." + base64url_encode(sign(text));
  }
  std::string token(const boost::json::object& claims) const {
    boost::json::object header{{"alg", algorithm_name()}, {"typ", "JWT"}};
    if (!id_.empty()) header["kid"] = id_;
    return token(boost::json::serialize(header), boost::json::serialize(claims));
  }

 private:
  std::string number(const char* name, int size) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &value);
    std::string out(static_cast<size_t>(size == 0 ? BN_num_bytes(value) : size), '\0');
    BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
    BN_free(value);
    return base64url_encode(out);
  }
  static std::string side_by_side(const std::string& der) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size()));
    std::string out(64, '\0');
    auto* to = reinterpret_cast<unsigned char*>(out.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), to, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), to + 32, 32);
    ECDSA_SIG_free(signature);
    return out;
  }

  JwsAlgorithm algorithm_;
  std::string id_;
  std::shared_ptr<EVP_PKEY> key_;
};

inline std::string jwk_set(const std::vector<FakeKey>& keys) {
  boost::json::array list;
  for (const FakeKey& key : keys) list.push_back(key.jwk());
  return boost::json::serialize(boost::json::object{{"keys", std::move(list)}});
}

// Answers by URL. Threadsafe.
class FakeIssuer final : public WebClient {
 public:
  static constexpr const char* kIssuer = "https://id.example.org";
  static constexpr const char* kClient = "frameworks";

  FakeIssuer() {
    set_keys({FakeKey(JwsAlgorithm::kEs256, "first")});
    answers_[std::string(kIssuer) + "/.well-known/openid-configuration"] = {
        {200, boost::json::serialize(boost::json::object{
                  {"issuer", kIssuer},
                  {"jwks_uri", std::string(kIssuer) + "/jwks"},
                  {"token_endpoint", std::string(kIssuer) + "/token"},
                  {"device_authorization_endpoint", std::string(kIssuer) + "/device"}})}};
  }

  void set_keys(std::vector<FakeKey> keys) {
    set(std::string(kIssuer) + "/jwks", {{200, jwk_set(keys)}});
    keys_ = std::move(keys);
  }
  const FakeKey& key() const { return keys_.front(); }

  // The answers to come, in order; the last one stays.
  void set(const std::string& url, std::vector<WebAnswer> answers) {
    std::lock_guard lock(mutex_);
    answers_[url] = std::move(answers);
  }
  void set_reachable(bool reachable) {
    std::lock_guard lock(mutex_);
    reachable_ = reachable;
  }
  size_t asked(const std::string& url) {
    std::lock_guard lock(mutex_);
    return asked_[url];
  }

  static boost::json::object claims(WallTime now, const std::string& subject = "ada") {
    const int64_t at =
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    return {{"iss", kIssuer}, {"sub", subject},  {"aud", kClient},
            {"iat", at},      {"exp", at + 300}, {"jti", new_uuid()}};
  }

  Result<WebAnswer> ask(const WebRequest& request) override {
    std::lock_guard lock(mutex_);
    ++asked_[request.url];
    const auto found = answers_.find(request.url);
    if (!reachable_ || found == answers_.end())
      return Error(Code::kUnavailable, request.url + ": not reached");
    WebAnswer out = found->second.front();
    if (found->second.size() > 1) found->second.erase(found->second.begin());
    return out;
  }

 private:
  std::mutex mutex_;
  std::vector<FakeKey> keys_;
  std::map<std::string, std::vector<WebAnswer>> answers_;
  std::map<std::string, size_t> asked_;
  bool reachable_ = true;
};

}  // namespace frameworks
