#include "hostd/relay.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/log.h"
#include "hostd/namespaces.h"

namespace frameworks::hostd {
namespace {

Result<Endpoint> parse_endpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  const std::string_view digits = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": must be ADDRESS:PORT, e.g. 127.0.0.1:18002", text));
  ASSIGN_OR_RETURN(const IpAddress address, IpAddress::parse(text.substr(0, colon)));
  if (!address.is_v4())
    return Error(Code::kInvalidArgument, fmt::format("\"{}\": must be IPv4", text));
  return Endpoint{address, port};
}

sockaddr_in socket_address(const Endpoint& endpoint) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(endpoint.port);
  std::memcpy(&out.sin_addr, endpoint.address.bytes().data(), 4);
  return out;
}

// One direction: what has been read and not yet written.
struct Pipe {
  std::array<char, 65536> buffer;
  size_t begin = 0;
  size_t end = 0;
  bool source_ended = false;
  bool finished = false;  // the end has been passed on
};

// Moves what can be moved; false when the connection is broken.
bool pump(int from, int to, Pipe& pipe) {
  while (!pipe.finished) {
    if (pipe.begin == pipe.end && !pipe.source_ended) {
      const ssize_t n = recv(from, pipe.buffer.data(), pipe.buffer.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN;
      pipe.source_ended = n == 0;
      pipe.begin = 0;
      pipe.end = static_cast<size_t>(n);
    }
    if (pipe.begin < pipe.end) {
      const ssize_t n =
          send(to, pipe.buffer.data() + pipe.begin, pipe.end - pipe.begin, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN;
      pipe.begin += static_cast<size_t>(n);
      continue;
    }
    if (pipe.source_ended) {
      shutdown(to, SHUT_WR);
      pipe.finished = true;
    }
  }
  return true;
}

}  // namespace

Result<Publication> parse_publication(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return Error(
        Code::kInvalidArgument,
        fmt::format("\"{}\": must be LISTEN=TARGET, e.g. 127.0.0.1:18002=10.99.0.1:18002", text));
  ASSIGN_OR_RETURN(const Endpoint listen, parse_endpoint(text.substr(0, equals)));
  ASSIGN_OR_RETURN(const Endpoint target, parse_endpoint(text.substr(equals + 1)));
  if (listen.address.bytes()[0] != 127)
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": listens on loopback only (127.0.0.0/8)", text));
  return Publication{listen, target};
}

struct Relay::Connection {
  Fd client;
  Fd server;
  bool connected = false;
  Pipe up;    // client to server
  Pipe down;  // server to client
};

Relay::Relay(std::filesystem::path target_namespace, std::vector<Publication> publications)
    : target_namespace_(std::move(target_namespace)), publications_(std::move(publications)) {}

Relay::~Relay() { stop(); }

Status Relay::start() {
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  wake_ = Fd(eventfd(0, EFD_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake_.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) return errno_error("relay");
  for (const Publication& publication : publications_) {
    Listener listener{Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
                      publication.target};
    const int on = 1;
    setsockopt(listener.socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = socket_address(publication.listen);
    socklen_t size = sizeof address;
    if (bind(listener.socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener.socket.get(), 128) != 0 ||
        getsockname(listener.socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      return errno_error(fmt::format("listen on {}:{}", publication.listen.address.text(),
                                     publication.listen.port));
    listener.port = ntohs(address.sin_port);
    event.data.fd = listener.socket.get();
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.socket.get(), &event) != 0)
      return errno_error("relay");
    listeners_.push_back(std::move(listener));
  }
  thread_ = std::jthread([this] { loop(); });
  return {};
}

void Relay::stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
  thread_.join();
}

std::vector<uint16_t> Relay::ports() const {
  std::vector<uint16_t> out;
  for (const Listener& listener : listeners_) out.push_back(listener.port);
  return out;
}

void Relay::loop() {
  std::array<epoll_event, 64> events{};
  while (true) {
    const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (n < 0 && errno != EINTR) return;
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == wake_.get()) return;
      if (const auto found = connections_.find(fd); found != connections_.end()) {
        serve(std::shared_ptr(found->second));
        continue;
      }
      for (const Listener& listener : listeners_)
        if (listener.socket.get() == fd) accept_one(listener);
    }
  }
}

void Relay::accept_one(const Listener& listener) {
  Fd client(accept4(listener.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client.valid() || connections_.size() >= 2 * kMostConnections) return;
  // This thread is the relay's own and only connects, so it may stay in the fabric. Entered anew
  // each time: the namespace may have been made after the last connection.
  if (!enter_network_namespace(target_namespace_)) return;
  auto connection = std::make_shared<Connection>();
  connection->client = std::move(client);
  connection->server = Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const sockaddr_in target = socket_address(listener.target);
  if (!connection->server.valid() ||
      (connect(connection->server.get(), reinterpret_cast<const sockaddr*>(&target),
               sizeof target) != 0 &&
       errno != EINPROGRESS))
    return;
  for (const int fd : {connection->client.get(), connection->server.get()}) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.fd = fd;
    connections_.emplace(fd, connection);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return close(connection);
  }
}

void Relay::serve(const std::shared_ptr<Connection>& connection) {
  if (!connection->connected) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->server.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return close(connection);
    sockaddr_in peer{};
    size = sizeof peer;
    if (getpeername(connection->server.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0)
      return;
    connection->connected = true;
  }
  const bool whole = pump(connection->client.get(), connection->server.get(), connection->up) &&
                     pump(connection->server.get(), connection->client.get(), connection->down);
  if (!whole || (connection->up.finished && connection->down.finished)) close(connection);
}

void Relay::close(const std::shared_ptr<Connection>& connection) {
  connections_.erase(connection->client.get());
  connections_.erase(connection->server.get());
  connection->client.reset();
  connection->server.reset();
}

}  // namespace frameworks::hostd
