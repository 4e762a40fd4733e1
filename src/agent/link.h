// The transport to Quartermaster: gRPC over TLS. grpc:: types stay in link.cc.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "frameworks/v1/agent.pb.h"

namespace frameworks {

namespace pb = ::frameworks::v1;

// The name in the server's certificate, whatever address it is reached at.
inline constexpr const char* kServerName = "quartermaster";

struct LinkTarget {
  std::string server;  // "address:port", or several with commas between
  std::string ca_pem;
  // The node's own; empty while joining.
  std::string certificate_pem{};
  std::string key_pem{};
};

// One call, given up after `timeout`. kPermissionDenied: the token was refused.
Result<pb::JoinResponse> join_fleet(const LinkTarget& target, const pb::JoinRequest& request,
                                    std::chrono::milliseconds timeout);

// The node's one stream. write() is for one thread, read() for another; cancel() for any.
class Link {
 public:
  static std::unique_ptr<Link> open(const LinkTarget& target);
  virtual ~Link() = default;
  // False: the stream is broken; read() tells why.
  virtual bool write(const pb::AgentMessage& message) = 0;
  // Hands over every message until the stream ends; returns why it did. Call once.
  virtual Error read(const std::function<void(pb::ServerMessage)>& take) = 0;
  // Ends the stream at once.
  virtual void cancel() = 0;
};

}  // namespace frameworks
