#include "server/socket.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace frameworks {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

std::unique_ptr<BIO, Free> memory(const std::string& text) {
  return std::unique_ptr<BIO, Free>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Status take_identity(SSL_CTX* context, const TlsIdentity& identity) {
  const auto certificates = memory(identity.certificate_pem);
  bool first = true;
  while (X509* read = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)) {
    const std::unique_ptr<X509, Free> certificate(read);
    const long taken = first ? SSL_CTX_use_certificate(context, certificate.get())
                             : SSL_CTX_add1_chain_cert(context, certificate.get());
    if (taken != 1) return Error(Code::kInternal, "TLS: the certificate is not usable");
    first = false;
  }
  ERR_clear_error();  // the end of the PEM is an error to OpenSSL
  const std::unique_ptr<EVP_PKEY, Free> key(
      PEM_read_bio_PrivateKey(memory(identity.key_pem).get(), nullptr, nullptr, nullptr));
  if (first || key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    return Error(Code::kInternal, "TLS: key and certificate do not belong together");
  return {};
}

// A client that offers nothing of `protocol` goes on without ALPN (RFC 7301).
int select_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                    unsigned int in_size, void* protocol) {
  const auto& offered = *static_cast<const std::string_view*>(protocol);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(offered.data()),
                            static_cast<unsigned>(offered.size()), in,
                            in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

std::string_view http_1_1 = "\x08http/1.1";
std::string_view http_2 = "\x02h2";

// Certificates of clients are verified at each connection anew: none is resumed.
Status ask_for_certificate(SSL_CTX* context, const std::string& ca_pem) {
  const std::unique_ptr<X509, Free> authority(
      PEM_read_bio_X509(memory(ca_pem).get(), nullptr, nullptr, nullptr));
  if (authority == nullptr ||
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1 ||
      SSL_CTX_add_client_CA(context, authority.get()) != 1)
    return Error(Code::kInternal, "TLS: the authority's certificate is not usable");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  return {};
}

// Tells after each read of the system's buffer whether it had less than was asked for.
long note_read(BIO* bio, int operation, const char*, size_t asked, int, long, int result,
               size_t* got) {
  if (operation == (BIO_CB_READ | BIO_CB_RETURN))
    *reinterpret_cast<bool*>(BIO_get_callback_arg(bio)) = result <= 0 || *got < asked;
  return result;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const TlsIdentity& identity, Use use) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return Error(Code::kInternal, "TLS: out of memory");
  auto out = std::make_shared<const TlsContext>(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_alpn_select_cb(context, select_protocol, use == Use::kRest ? &http_1_1 : &http_2);
  if (use == Use::kGrpc) RETURN_IF_ERROR(ask_for_certificate(context, identity.ca_pem));
  RETURN_IF_ERROR(take_identity(context, identity));
  return out;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Socket::Socket(Fd fd, const TlsContext* tls) : fd_(std::move(fd)) {
  if (tls == nullptr) return;
  ssl_ = SSL_new(tls->get());
  CHECK(ssl_ != nullptr);
  SSL_set_fd(ssl_, fd_.get());
  BIO_set_callback_arg(SSL_get_rbio(ssl_), reinterpret_cast<char*>(&short_read_));
  BIO_set_callback_ex(SSL_get_rbio(ssl_), note_read);
  SSL_set_accept_state(ssl_);
}

Socket::~Socket() { SSL_free(ssl_); }

ssize_t Socket::tls_result(int result) {
  if (result > 0) return result;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return kWait;
    default:
      ERR_clear_error();
      return kGone;
  }
}

// The system's own calls: the library's are places where a thread may be cancelled, which takes an
// atomic exchange before and after. No thread here ever is.
ssize_t Socket::read(char* into, size_t size) {
  // What others left in this thread's queue of errors would be taken for this connection's.
  if (ssl_ != nullptr) ERR_clear_error();
  if (ssl_ != nullptr)
    return tls_result(SSL_read(ssl_, into, static_cast<int>(std::min<size_t>(size, INT_MAX))));
  while (true) {
    const ssize_t count = syscall(SYS_recvfrom, fd_.get(), into, size, 0, nullptr, nullptr);
    short_read_ = count < static_cast<ssize_t>(size);
    if (count > 0) return count;
    if (count < 0 && errno == EINTR) continue;
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? kWait : kGone;
  }
}

bool Socket::is_drained() const {
  return short_read_ && (ssl_ == nullptr || SSL_has_pending(ssl_) == 0);
}

ssize_t Socket::write(std::string_view bytes) {
  if (ssl_ != nullptr) ERR_clear_error();
  if (ssl_ != nullptr)
    return tls_result(
        SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX))));
  while (true) {
    const ssize_t count = syscall(SYS_sendto, fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL,
                                  nullptr, 0);
    if (count >= 0) return count;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? kWait : kGone;
  }
}

std::string Socket::peer_uri() const {
  X509* certificate = ssl_ == nullptr ? nullptr : SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr || SSL_get_verify_result(ssl_) != X509_V_OK) return {};
  const std::unique_ptr<GENERAL_NAMES, Free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string out;
  for (int i = 0, found = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    if (++found > 1) return {};
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    out.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
               static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  return out;
}

void Socket::finish() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_) == 1) SSL_shutdown(ssl_);
  ERR_clear_error();
  ::shutdown(fd_.get(), SHUT_WR);
}

}  // namespace frameworks
