#include "server/rest_socket.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "server/grpc_transport.h"

namespace frameworks {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
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
    if (taken != 1) return Error(Code::kInternal, "REST over TLS: the certificate is not usable");
    first = false;
  }
  ERR_clear_error();  // the end of the PEM is an error to OpenSSL
  const std::unique_ptr<EVP_PKEY, Free> key(
      PEM_read_bio_PrivateKey(memory(identity.key_pem).get(), nullptr, nullptr, nullptr));
  if (first || key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    return Error(Code::kInternal, "REST over TLS: key and certificate do not belong together");
  return {};
}

// This server speaks HTTP/1.1 only; a client that offers nothing of it goes on without ALPN.
int select_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                    unsigned int in_size, void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, kHttp11, sizeof kHttp11, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const TlsIdentity& identity) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return Error(Code::kInternal, "REST over TLS: out of memory");
  auto out = std::make_shared<const TlsContext>(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_alpn_select_cb(context, select_protocol, nullptr);
  RETURN_IF_ERROR(take_identity(context, identity));
  return out;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

RestSocket::RestSocket(Fd fd, const TlsContext* tls) : fd_(std::move(fd)) {
  if (tls == nullptr) return;
  ssl_ = SSL_new(tls->get());
  CHECK(ssl_ != nullptr);
  SSL_set_fd(ssl_, fd_.get());
  SSL_set_accept_state(ssl_);
}

RestSocket::~RestSocket() { SSL_free(ssl_); }

ssize_t RestSocket::tls_result(int result) {
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

ssize_t RestSocket::read(char* into, size_t size) {
  if (ssl_ != nullptr)
    return tls_result(SSL_read(ssl_, into, static_cast<int>(std::min<size_t>(size, INT_MAX))));
  while (true) {
    const ssize_t count = ::recv(fd_.get(), into, size, 0);
    if (count > 0) return count;
    if (count < 0 && errno == EINTR) continue;
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? kWait : kGone;
  }
}

ssize_t RestSocket::write(std::string_view bytes) {
  if (ssl_ != nullptr)
    return tls_result(
        SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX))));
  while (true) {
    const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) return count;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? kWait : kGone;
  }
}

void RestSocket::finish() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_) == 1) SSL_shutdown(ssl_);
  ERR_clear_error();
  ::shutdown(fd_.get(), SHUT_WR);
}

}  // namespace frameworks
