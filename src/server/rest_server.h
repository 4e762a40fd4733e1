// REST/JSON and server-sent events over HTTP/1.1, generated from the API table; beside it
// /v1/openapi.json, /v1/problems/<type>, /healthz and /metrics.
//
// Plain HTTP takes bearer tokens from this host only; over TLS they are taken from anywhere. A
// streaming method answers with server-sent events: "data" carries one message, "id" the place to
// continue from; "event: error" a problem document; "event: end" says that all was told.
//
// A thread for each processor, with its own connections (EventLoop); what waits runs on workers.
// Everything that a connection holds is bounded, and freed while it is idle.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/error.h"
#include "server/acceptor.h"
#include "server/event_loop.h"
#include "server/serving.h"
#include "server/socket.h"

namespace frameworks {

struct RestLimits {
  size_t header_bytes = 16 << 10;
  size_t body_bytes = 32 << 20;
  // Of the bodies that all connections hold at once.
  size_t all_bodies_bytes = 256 << 20;
  int connections = 1024;
  int per_address = 1024;
  // For a whole request to arrive, for a response (or an event) to be taken.
  std::chrono::seconds patience{30};
  std::chrono::seconds idle{90};        // between two requests
  std::chrono::seconds keep_alive{15};  // between comments on a silent event stream
  int threads = EventLoop::threads();
};

class RestServer {
 public:
  // `address` as "127.0.0.1:0"; `tls` null: plain HTTP.
  static Result<std::unique_ptr<RestServer>> start(const std::string& address, ApiServing serving,
                                                   RestLimits limits = {},
                                                   const TlsIdentity* tls = nullptr);
  virtual ~RestServer() = default;  // closes connections, joins its threads
  [[nodiscard]] virtual int port() const = 0;
  [[nodiscard]] virtual const ConnectionCount& connections() const = 0;
};

}  // namespace frameworks
