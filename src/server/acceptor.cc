#include "server/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace frameworks {
namespace {

constexpr int kMaxFiles = 1 << 20;

Result<sockaddr_storage> socket_address(const HostPort& at) {
  sockaddr_storage out{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (inet_pton(AF_INET, at.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(at.port);
  } else if (inet_pton(AF_INET6, at.host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(at.port);
  } else {
    return Error(Code::kInvalidArgument, fmt::format("{}: not an IP address", at.host));
  }
  return out;
}

std::string_view host_bytes(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET)
    return {reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in&>(address).sin_addr),
            4};
  const auto* bytes =
      reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  // An IPv4 address in IPv6 (RFC 4291, 2.5.5.2) is that address.
  static constexpr char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};
  if (std::memcmp(bytes, kMapped, sizeof kMapped) == 0) return {bytes + 12, 4};
  return {bytes, 16};
}

bool is_loopback(std::string_view host) {
  if (host.size() == 4) return host[0] == 127;
  return host == std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
}

uint16_t port_of(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET
                   ? reinterpret_cast<const sockaddr_in&>(address).sin_port
                   : reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
}

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

bool ConnectionCount::enter(const std::string& address) {
  return counts_.with([&](Counts& counts) {
    const auto found = counts.by_address.find(address);
    const int of_address = found == counts.by_address.end() ? 0 : found->second;
    if (counts.open >= limits_.connections || of_address >= limits_.per_address) {
      ++counts.refused;
      return false;
    }
    ++counts.open;
    ++counts.by_address[address];
    return true;
  });
}

void ConnectionCount::leave(const std::string& address) {
  counts_.with([&](Counts& counts) {
    --counts.open;
    const auto found = counts.by_address.find(address);
    if (--found->second == 0) counts.by_address.erase(found);
  });
}

int ConnectionCount::open() const {
  return counts_.with([](const Counts& counts) { return counts.open; });
}
uint64_t ConnectionCount::refused() const {
  return counts_.with([](const Counts& counts) { return counts.refused; });
}

std::string address_text(const std::string& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.size() == sizeof(in_addr) ? AF_INET : AF_INET6, address.data(), text,
            sizeof text);
  return text;
}

Acceptor::Acceptor(Fd fd, int port)
    : fd_(std::move(fd)), spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)), port_(port) {}

Result<Acceptor> Acceptor::listen(const std::string& address) {
  ASSIGN_OR_RETURN(const HostPort at, parse_host_port(address));
  ASSIGN_OR_RETURN(const sockaddr_storage where, socket_address(at));
  const auto fail = [&] {
    return Error(Code::kUnavailable, fmt::format("cannot listen on {}: {}: is the port taken?",
                                                 address, std::strerror(errno)));
  };
  Fd fd(::socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fail();
  const int on = 1;
  // A second server on the port fails all the same: this only ignores connections that are ending.
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const socklen_t size = where.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), size) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0)
    return fail();
  sockaddr_storage bound{};
  socklen_t bound_size = sizeof bound;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &bound_size) != 0) return fail();
  return Acceptor(std::move(fd), port_of(bound));
}

void Acceptor::refuse_one() {
  spare_.reset();
  Fd unwanted(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  unwanted.reset();
  spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

Accepted Acceptor::accept(ConnectionCount& count) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  Accepted out;
  Fd fd(::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                  SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) {
    if (errno == EMFILE || errno == ENFILE) refuse_one();
    out.more = errno == ECONNABORTED || errno == EINTR;
    return out;
  }
  out.more = true;
  out.address = std::string(host_bytes(peer));
  if (!count.enter(out.address)) return out;  // closing at once is the answer that costs nothing
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Peers that lost power say nothing any more.
  setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  sockaddr_storage own{};
  size = sizeof own;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size);
  out.local = is_loopback(out.address) || host_bytes(own) == out.address;
  out.fd = std::move(fd);
  return out;
}

int raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, kMaxFiles));
}

}  // namespace frameworks
