// gRPC: every method of the API table by one generic service, and the agents' typed service, on one
// TLS port.
//
// Nobody waits on gRPC's threads: what blocks runs on workers. A stream has one answer under way;
// the next is pulled when that was taken. Answers that exist as bytes are sent as they are.
#pragma once

#include <grpcpp/server.h>

#include <atomic>
#include <memory>
#include <string>

#include "base/error.h"
#include "server/acceptor.h"
#include "server/api.h"
#include "server/authentication.h"
#include "server/metrics.h"
#include "server/workers.h"

namespace frameworks {

// What both transports need.
struct ApiServing {
  const Api& api;
  const Authentication& authentication;
  Workers& workers;
  Workers& streams;  // what streams have to say: apart, so that many watchers delay no call
  Metrics& metrics;
};

struct GrpcLimits {
  int max_message_bytes = 32 << 20;  // of a request
  int max_metadata_bytes = 16 << 10;
  int max_streams_per_connection = 256;
  int max_calls = 4096;     // of operators, at once
  int max_streams = 16384;  // of watchers
  // Of all connections' buffers and calls. Beyond it gRPC ends streams, so that it must be enough
  // for as many agents as there may be connections: a quiet one takes some 30 KB.
  size_t memory_bytes = 1 << 30;
  int connections = 16'384;
  int per_address = 16'384;
};

struct TlsIdentity {
  std::string key_pem;
  std::string certificate_pem;
  std::string ca_pem;  // signs clients
};

class GrpcTransport {
 public:
  // `address` as "127.0.0.1:0". `agents` is served beside the table and must outlive the transport.
  static Result<std::unique_ptr<GrpcTransport>> start(const std::string& address,
                                                      const TlsIdentity& identity,
                                                      ApiServing serving, grpc::Service& agents,
                                                      GrpcLimits limits = {});
  virtual ~GrpcTransport() = default;  // cancels what is open, waits for its end
  [[nodiscard]] virtual int port() const = 0;
  [[nodiscard]] virtual const ConnectionCount& connections() const = 0;
};

// The address in gRPC's name of a peer: "192.0.2.1" of "ipv4:192.0.2.1:4711".
std::string peer_address(std::string_view peer);
int peer_port(std::string_view peer);

// The node named by the caller's verified certificate; empty when there is none.
std::string node_of(const grpc::ServerContextBase& context);

}  // namespace frameworks
