// The agents' side of the gRPC port: Join and the node's one stream.
#pragma once

#include "runtime/sessions/join.h"
#include "runtime/sessions/sessions.h"
#include "server/grpc_call.h"
#include "server/metrics.h"

namespace frameworks {

class AgentsService final : public GrpcService {
 public:
  AgentsService(JoinDesk& desk, Sessions& sessions, Metrics& metrics)
      : desk_(desk), sessions_(sessions), metrics_(metrics) {}
  bool open(const GrpcHead& head, GrpcStream& stream) override;

 private:
  JoinDesk& desk_;
  Sessions& sessions_;
  Metrics& metrics_;
};

}  // namespace frameworks
