// gRPC over HTTP/2 with TLS on one port: every method of the API table, and the agents' service.
//
// A thread for each processor, with its own connections (EventLoop), as the REST server has. Nobody
// waits on them: what blocks runs on workers. A stream has one batch of answers under way; the next
// is pulled when that was taken. Answers that exist as bytes are sent as they are.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/error.h"
#include "server/acceptor.h"
#include "server/event_loop.h"
#include "server/grpc_call.h"
#include "server/serving.h"
#include "server/socket.h"

namespace frameworks {

struct GrpcLimits {
  size_t max_message_bytes = 32 << 20;  // of a request
  // Of the requests that all connections hold at once, because they are not whole yet.
  size_t all_requests_bytes = 256 << 20;
  size_t max_metadata_bytes = 16 << 10;
  uint32_t max_streams_per_connection = 256;
  int max_calls = 4096;     // of operators, at once
  int max_streams = 16384;  // of watchers
  int connections = 16'384;
  int per_address = 16'384;
  // For TLS and HTTP/2 to begin.
  std::chrono::seconds handshake{10};
  // For bytes to be taken by the peer's system, and for more of an answer to be let come.
  std::chrono::seconds patience{30};
  // A connection on which nothing came for `quiet` is asked for a sign of life, and ends without
  // one after `ping`.
  std::chrono::seconds quiet{20};
  std::chrono::seconds ping{10};
  // Requests that a connection may take back within a second; callers that give up take back one
  // at a time.
  int taken_back = 100;
  int threads = EventLoop::threads();
};

class GrpcServer {
 public:
  // `address` as "127.0.0.1:0". `agents` is served beside the table and must outlive the server;
  // null: none.
  static Result<std::unique_ptr<GrpcServer>> start(const std::string& address,
                                                   const TlsIdentity& identity, ApiServing serving,
                                                   GrpcService* agents, GrpcLimits limits = {});
  virtual ~GrpcServer() = default;  // ends what is open, joins its threads
  [[nodiscard]] virtual int port() const = 0;
  [[nodiscard]] virtual const ConnectionCount& connections() const = 0;
};

}  // namespace frameworks
