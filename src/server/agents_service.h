// The agents' side of the port: Join and the node's one stream.
#pragma once

#include "frameworks/v1/agent.grpc.pb.h"
#include "runtime/sessions/join.h"
#include "runtime/sessions/sessions.h"
#include "server/metrics.h"

namespace frameworks {

class AgentsService final : public pb::Agents::CallbackService {
 public:
  AgentsService(JoinDesk& desk, Sessions& sessions, Metrics& metrics)
      : desk_(desk), sessions_(sessions), metrics_(metrics) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const pb::JoinRequest* request,
                                 pb::JoinResponse* response) override;
  grpc::ServerBidiReactor<pb::AgentMessage, pb::ServerMessage>* Session(
      grpc::CallbackServerContext* context) override;

 private:
  JoinDesk& desk_;
  Sessions& sessions_;
  Metrics& metrics_;
};

}  // namespace frameworks
