#include "agent/link.h"

#include <grpcpp/grpcpp.h>

#include "base/clock.h"
#include "base/dial.h"
#include "frameworks/v1/agent.grpc.pb.h"

namespace frameworks {
namespace {

Error error_of(const grpc::Status& status) {
  // An orderly end is news too: the server said nothing of why.
  if (status.ok()) return {Code::kUnavailable, "the server ended the stream"};
  return {static_cast<Code>(status.error_code()), status.error_message()};
}

std::shared_ptr<grpc::Channel> channel_to(const LinkTarget& target) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = target.ca_pem;
  tls.pem_cert_chain = target.certificate_pem;
  tls.pem_private_key = target.key_pem;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(kServerName);
  // With keepalive on, gRPC sets TCP_USER_TIMEOUT to its timeout; heartbeats are what it then
  // watches, and a dead server is noticed in 5 s. Pings themselves are rarer than any server minds.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 360'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  // A connection that does not come up in 3 s is given up.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  // A new channel is a new connection, also beside one that is still ending.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  // Any of several servers will do, and the nodes shall not all go to the same. What cannot be read
  // fails as a server that is away.
  const auto servers = dial_target(target.server, DialOrder::kShuffled);
  return grpc::CreateCustomChannel(servers ? *servers : target.server, grpc::SslCredentials(tls),
                                   arguments);
}

class GrpcLink final : public Link {
 public:
  explicit GrpcLink(const LinkTarget& target)
      : stub_(pb::Agents::NewStub(channel_to(target))), stream_(stub_->Session(&context_)) {}

  bool write(const pb::AgentMessage& message) override { return stream_->Write(message); }

  Error read(const std::function<void(pb::ServerMessage)>& take) override {
    pb::ServerMessage message;
    while (stream_->Read(&message)) take(std::move(message));
    return error_of(stream_->Finish());
  }

  void cancel() override { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<pb::Agents::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<pb::AgentMessage, pb::ServerMessage>> stream_;
};

}  // namespace

Result<pb::JoinResponse> join_fleet(const LinkTarget& target, const pb::JoinRequest& request,
                                    std::chrono::milliseconds timeout) {
  const auto stub = pb::Agents::NewStub(channel_to(target));
  grpc::ClientContext context;
  context.set_deadline(system_clock().wall() + timeout);
  pb::JoinResponse response;
  const grpc::Status status = stub->Join(&context, request, &response);
  if (!status.ok()) return error_of(status);
  return response;
}

std::unique_ptr<Link> Link::open(const LinkTarget& target) {
  return std::make_unique<GrpcLink>(target);
}

}  // namespace frameworks
