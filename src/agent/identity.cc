#include "agent/identity.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "base/file.h"
#include "base/text.h"

namespace frameworks {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using CertificateRequest = std::unique_ptr<X509_REQ, Freed<X509_REQ_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;

constexpr size_t kWireguardKeySize = 32;

Error openssl_error(std::string_view what) {
  char text[256] = "unknown";
  if (const unsigned long code = ERR_get_error(); code != 0)
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return {Code::kInternal, fmt::format("{}: {}", what, text)};
}

Bio reading(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

Result<Key> parse_key(const std::string& pem) {
  Key key(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return openssl_error("private key");
  return key;
}

Result<Certificate> parse_certificate(const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    ERR_clear_error();
    return Error(Code::kInvalidArgument, "certificate: not PEM");
  }
  return certificate;
}

Result<std::string> make_tls_key() {
  const Key key(EVP_EC_gen("P-256"));
  const Bio out(BIO_new(BIO_s_mem()));
  if (key == nullptr ||
      PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_error("make TLS key");
  return text_of(out.get());
}

Result<std::string> make_wireguard_key() {
  const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  std::string raw(kWireguardKeySize, '\0');
  size_t size = raw.size();
  if (key == nullptr || EVP_PKEY_get_raw_private_key(
                            key.get(), reinterpret_cast<unsigned char*>(raw.data()), &size) != 1)
    return openssl_error("make WireGuard key");
  // Clamped as RFC 7748, section 5 says: `wg` shows the key in this form, and texts are compared.
  raw[0] = static_cast<char>(raw[0] & 0xf8);
  raw[31] = static_cast<char>((raw[31] & 0x7f) | 0x40);
  return base64_encode(raw);
}

Result<std::string> wireguard_public_key(const std::string& private_key) {
  ASSIGN_OR_RETURN(const std::string raw, base64_decode(private_key));
  if (raw.size() != kWireguardKeySize)
    return Error(Code::kDataLoss, "WireGuard key: not 32 bytes in base64");
  const Key key(EVP_PKEY_new_raw_private_key(
      EVP_PKEY_X25519, nullptr, reinterpret_cast<const unsigned char*>(raw.data()), raw.size()));
  std::string out(kWireguardKeySize, '\0');
  size_t size = out.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(
                            key.get(), reinterpret_cast<unsigned char*>(out.data()), &size) != 1)
    return openssl_error("WireGuard key");
  return base64_encode(out);
}

Result<WallTime> time_of(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return openssl_error("certificate's time");
  return WallTime{std::chrono::seconds{timegm(&fields)}};
}

Result<NodeCredentials> credentials_of(const std::string& certificate_pem,
                                       const std::string& ca_pem, const std::string& key_pem) {
  ASSIGN_OR_RETURN(const Certificate certificate, parse_certificate(certificate_pem));
  ASSIGN_OR_RETURN(const Key key, parse_key(key_pem));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return Error(Code::kInvalidArgument, "certificate: for another key than this node's");
  }
  NodeCredentials out{
      .certificate_pem = certificate_pem, .ca_pem = ca_pem, .not_before = {}, .not_after = {}};
  ASSIGN_OR_RETURN(out.not_before, time_of(X509_get0_notBefore(certificate.get())));
  ASSIGN_OR_RETURN(out.not_after, time_of(X509_get0_notAfter(certificate.get())));
  return out;
}

// The file's text; made and written 0600 when there is no such file.
Result<std::string> load_or_make(const std::filesystem::path& path, Result<std::string> (*make)()) {
  if (std::filesystem::exists(path)) {
    ASSIGN_OR_RETURN(const std::string text, read_file(path));
    return text;
  }
  ASSIGN_OR_RETURN(const std::string made, make());
  RETURN_IF_ERROR(write_file(path, made, 0600));
  return made;
}

}  // namespace

Result<Identity> Identity::load_or_create(const std::filesystem::path& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed)
    return Error(Code::kFailedPrecondition,
                 fmt::format("make {}: {}", folder.string(), failed.message()));
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  Identity out;
  out.folder_ = folder;
  ASSIGN_OR_RETURN(out.tls_key_pem_, load_or_make(folder / "node.key", make_tls_key));
  ASSIGN_OR_RETURN(const std::string wireguard,
                   load_or_make(folder / "wireguard.key", make_wireguard_key));
  out.wireguard_private_ = std::string(trim(wireguard));
  ASSIGN_OR_RETURN(out.wireguard_public_, frameworks::wireguard_public_key(out.wireguard_private_));
  const auto certificate = read_file(folder / "node.crt");
  const auto ca = read_file(folder / "ca.crt");
  if (certificate && ca)
    if (auto credentials = credentials_of(*certificate, *ca, out.tls_key_pem_); credentials)
      out.credentials_ = std::move(*credentials);
  return out;
}

Result<std::string> Identity::certificate_request(const std::string& node) const {
  ASSIGN_OR_RETURN(const Key key, parse_key(tls_key_pem_));
  const CertificateRequest request(X509_REQ_new());
  X509_NAME* name = X509_REQ_get_subject_name(request.get());
  // X.520 allows 64 characters; the server takes the name from the request's own field anyway.
  const std::string common_name = node.substr(0, 64);
  const Bio out(BIO_new(BIO_s_mem()));
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0 ||
      PEM_write_bio_X509_REQ(out.get(), request.get()) != 1)
    return openssl_error("certificate request");
  return text_of(out.get());
}

Status Identity::store(const std::string& certificate_pem, const std::string& ca_pem) {
  const std::string& ca = ca_pem.empty() && credentials_ ? credentials_->ca_pem : ca_pem;
  ASSIGN_OR_RETURN(NodeCredentials credentials, credentials_of(certificate_pem, ca, tls_key_pem_));
  // The certificate last: with it the node counts as joined.
  RETURN_IF_ERROR(write_file(folder_ / "ca.crt", ca));
  RETURN_IF_ERROR(write_file(folder_ / "node.crt", certificate_pem));
  credentials_ = std::move(credentials);
  return {};
}

}  // namespace frameworks
