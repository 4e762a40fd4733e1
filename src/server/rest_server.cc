#include "server/rest_server.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "server/rest_connection.h"

namespace frameworks {
namespace {

class Server final : public RestServer {
 public:
  Server(ApiServing serving, RestLimits limits) : shared_(serving, limits) {}
  ~Server() override {
    for (auto& loop : loops_) loop->stop();
  }

  Status begin(const std::string& address, const TlsIdentity* tls) {
    if (tls != nullptr) {
      ASSIGN_OR_RETURN(shared_.tls, TlsContext::make(*tls, TlsContext::Use::kRest));
    }
    ASSIGN_OR_RETURN(Acceptor acceptor, Acceptor::listen(address));
    acceptor_.emplace(std::move(acceptor));
    for (int i = 0; i < std::max(1, shared_.limits.threads); ++i) {
      loops_.push_back(std::make_unique<EventLoop>(system_clock()));
      EventLoop& loop = *loops_.back();
      if (!loop.listen(acceptor_->fd(), [this, &loop] { return accept(loop); }))
        return Error(Code::kUnavailable, "cannot wait for connections: epoll refuses");
    }
    for (auto& loop : loops_) loop->start();
    return {};
  }

  int port() const override { return acceptor_->port(); }
  const ConnectionCount& connections() const override { return shared_.count; }

 private:
  bool accept(EventLoop& loop) {
    Accepted accepted = acceptor_->accept(shared_.count);
    if (accepted.fd.valid()) RestConnection::start(std::move(accepted), loop, shared_);
    return accepted.more;
  }

  RestShared shared_;
  std::optional<Acceptor> acceptor_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
};

}  // namespace

Result<std::unique_ptr<RestServer>> RestServer::start(const std::string& address,
                                                      ApiServing serving, RestLimits limits,
                                                      const TlsIdentity* tls) {
  auto server = std::make_unique<Server>(serving, limits);
  if (auto begun = server->begin(address, tls); !begun) return begun.error().with_context("REST");
  return std::unique_ptr<RestServer>(std::move(server));
}

}  // namespace frameworks
