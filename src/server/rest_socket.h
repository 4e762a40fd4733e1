// A connected, non-blocking TCP socket, plain or with TLS; edge-triggered readiness.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

struct ssl_ctx_st;
struct ssl_st;

namespace frameworks {

struct TlsIdentity;

// What makes TLS of sockets: TLS 1.2 or newer, the server's certificate, none asked of clients.
class TlsContext {
 public:
  static Result<std::shared_ptr<const TlsContext>> make(const TlsIdentity& identity);
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();
  [[nodiscard]] ssl_ctx_st* get() const { return context_; }

 private:
  ssl_ctx_st* context_;
};

class RestSocket {
 public:
  // `tls` null: plain.
  RestSocket(Fd fd, const TlsContext* tls);
  RestSocket(const RestSocket&) = delete;
  RestSocket& operator=(const RestSocket&) = delete;
  ~RestSocket();

  // How many bytes; kWait: none now, an event will tell; kGone: the peer ended or something broke.
  // The thread must have SIGPIPE blocked or ignored.
  static constexpr ssize_t kWait = -1;
  static constexpr ssize_t kGone = -2;
  ssize_t read(char* into, size_t size);
  ssize_t write(std::string_view bytes);
  // Whether a read that filled less than it could means that nothing is left.
  [[nodiscard]] bool short_read_is_last() const { return ssl_ == nullptr; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Tells the peer that nothing more comes.
  void finish();

 private:
  ssize_t tls_result(int result);
  Fd fd_;
  ssl_st* ssl_ = nullptr;
};

}  // namespace frameworks
