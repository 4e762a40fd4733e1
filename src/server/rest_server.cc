#include "server/rest_server.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <charconv>
#include <list>
#include <thread>

#include "base/locked.h"
#include "base/log.h"
#include "server/rest_connection.h"

namespace frameworks {
namespace {

using boost::asio::ip::tcp;
using boost::beast::error_code;
constexpr int kThreads = 2;
constexpr std::chrono::milliseconds kPause{50};

class Server final : public RestServer {
 public:
  Server(ApiServing serving, RestLimits limits)
      : shared_(std::make_shared<RestShared>(serving, RestRoutes(serving.api), limits)),
        io_(kThreads),
        acceptor_(boost::asio::make_strand(io_)),
        pause_(acceptor_.get_executor()) {}

  ~Server() override {
    // On the acceptor's strand, so that no connection comes in between or after.
    boost::asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      connections_.with([](auto& connections) {
        for (auto& weak : connections)
          if (auto connection = weak.lock()) connection->stop();
      });
    });
    work_.reset();
    // What a worker still computes may answer into a closed connection; the threads end after it.
    threads_.clear();
  }

  Status begin(const std::string& address) {
    ASSIGN_OR_RETURN(const HostPort at, parse_host_port(address));
    error_code error;
    const auto host = boost::asio::ip::make_address(at.host, error);
    if (error) return Error(Code::kInvalidArgument, fmt::format("{}: not an IP address", at.host));
    const tcp::endpoint endpoint(host, at.port);
    if (!acceptor_.open(endpoint.protocol(), error).failed() &&
        !acceptor_.set_option(tcp::acceptor::reuse_address(true), error).failed() &&
        !acceptor_.bind(endpoint, error).failed())
      acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
    if (error)
      return Error(Code::kUnavailable,
                   fmt::format("cannot listen on {} for REST: {}", address, error.message()));
    port_ = acceptor_.local_endpoint().port();
    accept();
    for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { io_.run(); });
    return {};
  }

  int port() const override { return port_; }

 private:
  void accept() {
    acceptor_.async_accept(boost::asio::make_strand(io_),
                           [this](error_code error, tcp::socket socket) {
                             if (!acceptor_.is_open()) return;
                             if (error) return accept_later();
                             // Too many: closing at once is the only answer that costs nothing.
                             if (shared_->open.load() < shared_->limits.connections)
                               take(std::move(socket));
                             accept();
                           });
  }

  // Out of descriptors: trying again at once would only burn the processor.
  void accept_later() {
    pause_.expires_after(kPause);
    pause_.async_wait([this](error_code) {
      if (acceptor_.is_open()) accept();
    });
  }

  void take(tcp::socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    auto connection = std::make_shared<RestConnection>(std::move(socket), shared_);
    connections_.with([&](auto& connections) {
      std::erase_if(connections, [](const auto& weak) { return weak.expired(); });
      connections.push_back(connection);
    });
    connection->start();
  }

  std::shared_ptr<RestShared> shared_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  int port_ = 0;
  Locked<std::list<std::weak_ptr<RestConnection>>> connections_;
  std::vector<std::jthread> threads_;
};

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return Error(Code::kInvalidArgument, fmt::format("\"{}\": not ADDRESS:PORT", text));
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string_view digits = text.substr(colon + 1);
  HostPort out{std::string(host), 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (host.empty() || error != std::errc() || end != digits.data() + digits.size())
    return Error(Code::kInvalidArgument, fmt::format("\"{}\": not ADDRESS:PORT", text));
  return out;
}

Result<std::unique_ptr<RestServer>> RestServer::start(const std::string& address,
                                                      ApiServing serving, RestLimits limits) {
  auto server = std::make_unique<Server>(serving, limits);
  RETURN_IF_ERROR(server->begin(address));
  return std::unique_ptr<RestServer>(std::move(server));
}

}  // namespace frameworks
