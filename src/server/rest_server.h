// REST/JSON and server-sent events over HTTP/1.1, generated from the API table; /healthz, /metrics.
//
// Plain HTTP: bearer tokens are accepted from this host only. A streaming method answers with
// server-sent events: "data" carries one message; "event: error" a problem document; "event: end"
// says that all was told.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/error.h"
#include "server/grpc_transport.h"

namespace frameworks {

struct RestLimits {
  uint32_t header_bytes = 16 << 10;
  uint64_t body_bytes = 32 << 20;
  int connections = 1024;
  // For a whole request to arrive, for a response (or an event) to be taken.
  std::chrono::seconds patience{30};
  std::chrono::seconds keep_alive{15};  // between comments on a silent event stream
};

class RestServer {
 public:
  // `address` as "127.0.0.1:0".
  static Result<std::unique_ptr<RestServer>> start(const std::string& address, ApiServing serving,
                                                   RestLimits limits = {});
  virtual ~RestServer() = default;  // closes connections, joins its threads
  [[nodiscard]] virtual int port() const = 0;
};

// "10.0.0.1:80", "[::1]:80" → host and port; kInvalidArgument otherwise.
struct HostPort {
  std::string host;
  uint16_t port = 0;
};
Result<HostPort> parse_host_port(std::string_view text);

}  // namespace frameworks
