// Clients that cost little, so that the server is what is measured: one thread, many connections,
// HTTP/1.1 in the clear, and gRPC as bare HTTP/2 frames (RFC 9113) over TLS.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/fd.h"

namespace frameworks::bench {

using Clock = std::chrono::steady_clock;

// Sockets that are waited for, edge-triggered. One thread.
class Loop {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_ready() = 0;
  };
  Loop();
  void add(int fd, Handler& handler);
  // Handles what is ready, waiting for it at most this long.
  void turn(std::chrono::milliseconds patience);

 private:
  Fd epoll_;
};

// What clients' TLS connections share; speaks "h2" only. The server's name is not checked: these
// are benchmarks on loopback.
class ClientTls {
 public:
  // `key_pem`: of the clients' certificates; empty: they have none.
  explicit ClientTls(const std::string& key_pem = {});
  ~ClientTls();
  ClientTls(const ClientTls&) = delete;
  ClientTls& operator=(const ClientTls&) = delete;
  [[nodiscard]] SSL* make(const std::string& certificate_pem) const;

 private:
  SSL_CTX* context_;
  EVP_PKEY* key_ = nullptr;
};

// Where a connection comes from.
struct From {
  std::string address{};      // e.g. "127.0.0.2"; empty: any
  std::string certificate{};  // PEM, of the key that ClientTls has; empty: none
};

// A connection of bytes. Ends the process with a message when it breaks: then nothing was measured.
class Wire : public Loop::Handler {
 public:
  Wire(Loop& loop, int port, const ClientTls* tls, const From& from = {});
  ~Wire() override;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  void send(std::string_view bytes);
  void on_ready() override;

 protected:
  virtual void on_bytes(std::string_view bytes) = 0;
  virtual void on_end();

 private:
  void flush();
  bool read_some();
  Fd fd_;
  SSL* ssl_ = nullptr;
  std::string out_;
  size_t sent_ = 0;
  bool connected_ = false;
};

// One request after the other, always the same, to a server whose answers have always the same size.
class HttpClient final : public Wire {
 public:
  using Done = std::function<void()>;
  HttpClient(Loop& loop, int port, Done done) : Wire(loop, port, nullptr), done_(std::move(done)) {}
  void on_bytes(std::string_view bytes) override;
  [[nodiscard]] size_t answer_size() const { return size_; }
  [[nodiscard]] size_t body_size() const { return body_; }

 private:
  Done done_;
  std::string first_;  // until its size is known
  size_t size_ = 0;
  size_t body_ = 0;
  size_t missing_ = 0;
};

// gRPC calls on one connection.
class GrpcClient : public Wire {
 public:
  struct Events {
    // A message of a call.
    std::function<void(uint32_t stream, std::string_view message)> message;
    // The call ended; `answers` messages came.
    std::function<void(uint32_t stream, uint64_t answers)> end;
  };
  // `tls` null: in the clear.
  GrpcClient(Loop& loop, int port, const ClientTls* tls, Events events, const From& from = {});
  enum class Side { kEnds, kStaysOpen };  // whether the caller will send more
  // Begins a call; its number.
  uint32_t call(const std::string& path, const std::string& token, std::string_view message,
                Side side);
  // A further message.
  void send_message(uint32_t stream, std::string_view message);

 private:
  struct Stream {
    std::string part;  // of a message that is not complete
    uint64_t answers = 0;
  };
  void on_bytes(std::string_view bytes) override;
  void on_frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
  void on_data(uint32_t stream, std::string_view payload);
  void end(uint32_t stream);
  void send_data(uint32_t stream, std::string_view message, uint8_t flags);
  void flush_waiting();

  Events events_;
  const bool secure_;
  std::string in_;
  uint32_t next_ = 1;
  int64_t window_ = 65'535;    // that the server gives the connection
  int64_t received_ = 0;       // and what is to be given back to it
  std::string waiting_;        // frames that the window has no room for
  std::vector<std::pair<size_t, size_t>> waiting_sizes_;
  std::unordered_map<uint32_t, Stream> streams_;
};

// Times in microseconds, to about 2%.
class Histogram {
 public:
  void add(std::chrono::nanoseconds took);
  [[nodiscard]] double quantile(double share) const;  // in microseconds
  [[nodiscard]] uint64_t count() const { return count_; }

 private:
  static constexpr int kSteps = 32;  // a doubling
  std::vector<uint64_t> buckets_ = std::vector<uint64_t>(40 * kSteps);
  uint64_t count_ = 0;
};

}  // namespace frameworks::bench
