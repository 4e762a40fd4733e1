// A connected, non-blocking TCP socket, plain or with TLS; edge-triggered readiness.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

struct ssl_ctx_st;
struct ssl_st;

namespace frameworks {

struct TlsIdentity {
  std::string key_pem;
  std::string certificate_pem;
  std::string ca_pem;  // signs clients
};

// What makes TLS of sockets: TLS 1.2 or newer, the server's certificate.
class TlsContext {
 public:
  // REST speaks HTTP/1.1 and asks clients for no certificate. gRPC speaks HTTP/2; a client may show
  // a certificate, which has to be of `identity.ca_pem`.
  enum class Use { kRest, kGrpc };
  static Result<std::shared_ptr<const TlsContext>> make(const TlsIdentity& identity, Use use);
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();
  [[nodiscard]] ssl_ctx_st* get() const { return context_; }

 private:
  ssl_ctx_st* context_;
};

class Socket {
 public:
  // `tls` null: plain.
  Socket(Fd fd, const TlsContext* tls);
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  // How many bytes; kWait: none now, an event will tell; kGone: the peer ended or something broke.
  // The thread must have SIGPIPE blocked or ignored.
  static constexpr ssize_t kWait = -1;
  static constexpr ssize_t kGone = -2;
  ssize_t read(char* into, size_t size);
  ssize_t write(std::string_view bytes);
  // The last read left nothing in the system's buffer, or in TLS's: an event will tell of more.
  [[nodiscard]] bool is_drained() const;
  // Reading may wait for something to be written, and the other way round.
  [[nodiscard]] bool is_tls() const { return ssl_ != nullptr; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // The one URI that the peer's verified certificate names (RFC 5280, 4.2.1.6); empty: none, or
  // several.
  [[nodiscard]] std::string peer_uri() const;
  // Tells the peer that nothing more comes.
  void finish();

 private:
  ssize_t tls_result(int result);
  Fd fd_;
  ssl_st* ssl_ = nullptr;
  bool short_read_ = false;  // the system had less than was asked for
};

}  // namespace frameworks
