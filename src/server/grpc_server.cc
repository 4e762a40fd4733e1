#include "server/grpc_server.h"

#include <optional>

#include "server/grpc_connection.h"
#include "server/grpc_table.h"

namespace frameworks {
namespace {

class Server final : public GrpcServer {
 public:
  Server(ApiServing serving, const GrpcLimits& limits)
      : table_(serving, limits), shared_(std::make_shared<GrpcShared>(limits)) {}
  ~Server() override {
    for (auto& loop : shared_->loops) loop->stop();
  }

  Status begin(const std::string& address, const TlsIdentity& identity, GrpcService* agents) {
    ASSIGN_OR_RETURN(shared_->tls, TlsContext::make(identity, TlsContext::Use::kGrpc));
    ASSIGN_OR_RETURN(Acceptor acceptor, Acceptor::listen(address));
    acceptor_.emplace(std::move(acceptor));
    if (agents != nullptr) shared_->services.push_back(agents);
    shared_->services.push_back(&table_);
    for (int i = 0; i < std::max(1, shared_->limits.threads); ++i) {
      EventLoop& loop = *shared_->loops.emplace_back(std::make_unique<EventLoop>(system_clock()));
      if (!loop.listen(acceptor_->fd(), [this, &loop] { return accept(loop); }))
        return Error(Code::kUnavailable, "cannot wait for connections: epoll refuses");
    }
    for (auto& loop : shared_->loops) loop->start();
    return {};
  }

  int port() const override { return acceptor_->port(); }
  const ConnectionCount& connections() const override { return shared_->count; }

 private:
  bool accept(EventLoop& loop) {
    Accepted accepted = acceptor_->accept(shared_->count);
    if (accepted.fd.valid()) GrpcConnection::start(std::move(accepted), loop, shared_);
    return accepted.more;
  }

  GrpcTable table_;
  // Whoever pokes a call may hold its connection a moment longer than this server lives.
  const std::shared_ptr<GrpcShared> shared_;
  std::optional<Acceptor> acceptor_;
};

}  // namespace

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(const std::string& address,
                                                      const TlsIdentity& identity,
                                                      ApiServing serving, GrpcService* agents,
                                                      GrpcLimits limits) {
  auto server = std::make_unique<Server>(serving, limits);
  if (auto begun = server->begin(address, identity, agents); !begun)
    return begun.error().with_context("gRPC");
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace frameworks
