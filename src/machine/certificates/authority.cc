#include "machine/certificates/authority.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/text.h"

namespace frameworks {
namespace {

constexpr std::string_view kIdentityPrefix = "spiffe://frameworks/node/";
// Clocks of nodes may lag behind the server's by this much.
constexpr std::chrono::minutes kClockSkew{5};
constexpr std::chrono::hours kAuthorityLife{24 * 3650};

struct Free {
  void operator()(BIO* p) const { BIO_free_all(p); }
  void operator()(X509_REQ* p) const { X509_REQ_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
  void operator()(BIGNUM* p) const { BN_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;
using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

Key own(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }
Certificate own(X509* certificate) { return {certificate, X509_free}; }

// The reason of OpenSSL's last error; clears its queue.
Error crypto_error(std::string_view what, Code code = Code::kInternal) {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return {code, fmt::format("{}: {}", what, reason == nullptr ? "failed" : reason)};
}

Owned<BIO> reader(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

template <typename Write>
Result<std::string> to_pem(std::string_view what, Write write) {
  Owned<BIO> out(BIO_new(BIO_s_mem()));
  if (out == nullptr || write(out.get()) != 1) return crypto_error(what);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<std::string> key_to_pem(EVP_PKEY* key) {
  return to_pem("write private key", [&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Result<std::string> certificate_to_pem(X509* certificate) {
  return to_pem("write certificate",
                [&](BIO* out) { return PEM_write_bio_X509(out, certificate); });
}

Result<Key> new_key() {
  Key key = own(EVP_EC_gen("P-256"));
  if (key == nullptr) return crypto_error("make P-256 key");
  return key;
}

Status add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1)
    return crypto_error(fmt::format("add certificate extension {}", OBJ_nid2sn(nid)));
  return {};
}

// What differs between the authority's, a node's and the server's certificate.
struct Profile {
  std::string subject;
  std::chrono::hours life;
  std::vector<std::pair<int, std::string>> extensions;
};

Status set_name(X509_NAME* name, const std::string& common_name) {
  const auto* text = reinterpret_cast<const unsigned char*>(common_name.c_str());
  if (X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>("FrameWorks"), -1, -1,
                                 0) != 1 ||
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) != 1)
    return crypto_error("set certificate name");
  return {};
}

// 159 random bits: positive, at most 20 octets, not guessable (RFC 5280 4.1.2.2).
Status set_serial(X509* certificate) {
  Owned<BIGNUM> number(BN_new());
  if (number == nullptr || BN_rand(number.get(), 159, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr)
    return crypto_error("make serial number");
  return {};
}

// `issuer` null: self-signed.
Result<Certificate> issue(EVP_PKEY* subject_key, X509* issuer, EVP_PKEY* issuer_key,
                          const Profile& profile, WallTime now) {
  Certificate certificate = own(X509_new());
  X509* x = certificate.get();
  if (x == nullptr || X509_set_version(x, X509_VERSION_3) != 1) return crypto_error("certificate");
  RETURN_IF_ERROR(set_serial(x));
  const time_t from = std::chrono::system_clock::to_time_t(now - kClockSkew);
  const time_t until = std::chrono::system_clock::to_time_t(now + profile.life);
  if (ASN1_TIME_set(X509_getm_notBefore(x), from) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(x), until) == nullptr)
    return crypto_error("set certificate life");
  RETURN_IF_ERROR(set_name(X509_get_subject_name(x), profile.subject));
  X509* signer = issuer == nullptr ? x : issuer;
  if (X509_set_issuer_name(x, X509_get_subject_name(signer)) != 1 ||
      X509_set_pubkey(x, subject_key) != 1)
    return crypto_error("set certificate key");
  for (const auto& [nid, value] : profile.extensions)
    RETURN_IF_ERROR(add_extension(x, signer, nid, value));
  if (X509_sign(x, issuer_key, EVP_sha256()) == 0) return crypto_error("sign certificate");
  return certificate;
}

std::string serial_of(const X509* certificate) {
  Owned<BIGNUM> number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* text = BN_bn2hex(number.get());
  std::string out = to_lower(text);
  OPENSSL_free(text);
  return out;
}

// P-256 and stronger curves, Ed25519, RSA from 2048 bits.
bool strong_enough(EVP_PKEY* key) { return EVP_PKEY_get_security_bits(key) >= 112; }

Result<Key> key_of_request(std::string_view pem) {
  const auto in = reader(pem);
  Owned<X509_REQ> request(PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr));
  if (request == nullptr) return crypto_error("certificate request", Code::kInvalidArgument);
  Key key = own(X509_REQ_get_pubkey(request.get()));
  if (key == nullptr) return crypto_error("key of certificate request", Code::kInvalidArgument);
  // The signature proves that whoever asks holds the key.
  if (X509_REQ_verify(request.get(), key.get()) != 1)
    return crypto_error("certificate request is not signed with its own key",
                        Code::kInvalidArgument);
  if (!strong_enough(key.get()))
    return Error(Code::kInvalidArgument,
                 fmt::format("key of certificate request is too weak ({} bits of security, at "
                             "least 112)",
                             EVP_PKEY_get_security_bits(key.get())));
  return key;
}

struct Pair {
  Key key;
  Certificate certificate;
};

Result<Pair> read_pair(const std::string& key_pem, const std::string& certificate_pem) {
  const auto key_in = reader(key_pem);
  Key key = own(PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return crypto_error("read ca.key");
  const auto certificate_in = reader(certificate_pem);
  Certificate certificate = own(PEM_read_bio_X509(certificate_in.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return crypto_error("read ca.pem");
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return crypto_error("ca.key does not belong to ca.pem", Code::kFailedPrecondition);
  return Pair{std::move(key), std::move(certificate)};
}

Status create_pair(const std::filesystem::path& state, WallTime now) {
  ASSIGN_OR_RETURN(const Key key, new_key());
  const Profile profile{"FrameWorks internal CA",
                        kAuthorityLife,
                        {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                         {NID_key_usage, "critical,keyCertSign,cRLSign"},
                         {NID_subject_key_identifier, "hash"}}};
  ASSIGN_OR_RETURN(const Certificate certificate,
                   issue(key.get(), nullptr, key.get(), profile, now));
  ASSIGN_OR_RETURN(const std::string key_pem, key_to_pem(key.get()));
  ASSIGN_OR_RETURN(const std::string certificate_pem, certificate_to_pem(certificate.get()));
  RETURN_IF_ERROR(write_file(state / "ca.key", key_pem, 0600));
  // Last: its presence says that both are there.
  return write_file(state / "ca.pem", certificate_pem, 0644);
}

}  // namespace

std::string node_identity(std::string_view node) {
  return std::string(kIdentityPrefix).append(node);
}

std::string node_of_identity(std::string_view uri) {
  if (!uri.starts_with(kIdentityPrefix)) return {};
  uri.remove_prefix(kIdentityPrefix.size());
  return uri.find('/') == std::string_view::npos ? std::string(uri) : std::string();
}

Result<Authority> Authority::load_or_create(const std::filesystem::path& state, Clock& clock) {
  if (!std::filesystem::exists(state / "ca.pem")) RETURN_IF_ERROR(create_pair(state, clock.wall()));
  ASSIGN_OR_RETURN(const std::string key_pem, read_file(state / "ca.key"));
  ASSIGN_OR_RETURN(const std::string certificate_pem, read_file(state / "ca.pem"));
  ASSIGN_OR_RETURN(Pair pair, read_pair(key_pem, certificate_pem));
  return Authority(clock, std::move(pair.key), std::move(pair.certificate), certificate_pem);
}

Result<IssuedCertificate> Authority::sign_node(std::string_view request_pem,
                                               std::string_view node) const {
  // The name becomes part of an extension's text, in which a comma would begin another identity.
  if (node.empty() ||
      node.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") != std::string_view::npos)
    return Error(Code::kInvalidArgument, fmt::format("node \"{}\": not a DNS name", node));
  ASSIGN_OR_RETURN(const Key key, key_of_request(request_pem));
  const WallTime now = clock_->wall();
  // The name is in the URI only: a common name holds at most 64 characters.
  const Profile profile{"node",
                        kNodeLife,
                        {{NID_basic_constraints, "critical,CA:FALSE"},
                         {NID_key_usage, "critical,digitalSignature"},
                         {NID_ext_key_usage, "clientAuth"},
                         {NID_subject_key_identifier, "hash"},
                         {NID_authority_key_identifier, "keyid"},
                         {NID_subject_alt_name, "URI:" + node_identity(node)}}};
  ASSIGN_OR_RETURN(const Certificate certificate,
                   issue(key.get(), certificate_.get(), key_.get(), profile, now));
  ASSIGN_OR_RETURN(std::string pem, certificate_to_pem(certificate.get()));
  return IssuedCertificate{std::move(pem), serial_of(certificate.get()), now + kNodeLife};
}

Result<KeyAndCertificate> Authority::issue_server(const std::vector<std::string>& names,
                                                  const std::vector<std::string>& addresses) const {
  std::string alternatives;
  for (const std::string& name : names) alternatives += fmt::format(",DNS:{}", name);
  for (const std::string& address : addresses) alternatives += fmt::format(",IP:{}", address);
  if (alternatives.empty())
    return Error(Code::kInvalidArgument, "server certificate without a name or address");
  ASSIGN_OR_RETURN(const Key key, new_key());
  const Profile profile{"quartermaster",
                        kServerLife,
                        {{NID_basic_constraints, "critical,CA:FALSE"},
                         {NID_key_usage, "critical,digitalSignature"},
                         {NID_ext_key_usage, "serverAuth"},
                         {NID_subject_key_identifier, "hash"},
                         {NID_authority_key_identifier, "keyid"},
                         {NID_subject_alt_name, alternatives.substr(1)}}};
  ASSIGN_OR_RETURN(const Certificate certificate,
                   issue(key.get(), certificate_.get(), key_.get(), profile, clock_->wall()));
  KeyAndCertificate out;
  ASSIGN_OR_RETURN(out.key_pem, key_to_pem(key.get()));
  ASSIGN_OR_RETURN(out.certificate_pem, certificate_to_pem(certificate.get()));
  return out;
}

Result<KeyAndRequest> make_certificate_request() {
  ASSIGN_OR_RETURN(const Key key, new_key());
  Owned<X509_REQ> request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0)
    return crypto_error("make certificate request");
  KeyAndRequest out;
  ASSIGN_OR_RETURN(out.key_pem, key_to_pem(key.get()));
  ASSIGN_OR_RETURN(out.request_pem, to_pem("write certificate request", [&](BIO* bio) {
                     return PEM_write_bio_X509_REQ(bio, request.get());
                   }));
  return out;
}

}  // namespace frameworks
