#include "server/taken_back.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <filesystem>

namespace frameworks {
namespace {

// The peer's address as text and its port; IPv4 within IPv6 is IPv4. Port 0: not a TCP connection.
std::pair<std::string, int> peer_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    return {text, ntohs(in.sin_port)};
  }
  if (storage.ss_family != AF_INET6) return {};
  const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
  if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
    inet_ntop(AF_INET, &in.sin6_addr.s6_addr[12], text, sizeof text);
  else
    inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
  return {text, ntohs(in.sin6_port)};
}

}  // namespace

bool TakenBack::note(const std::string& peer, MonoTime now) {
  constexpr size_t kKnown = 4096;
  constexpr std::chrono::seconds kSecond{1};
  return seconds_.with([&](auto& seconds) {
    if (seconds.size() >= kKnown)
      std::erase_if(seconds, [&](const auto& each) { return each.second.began + kSecond < now; });
    Second& second = seconds[peer];
    if (second.began + kSecond < now) second = {now, 0};
    return ++second.count == kMost + 1;
  });
}

bool cut_connection(const std::string& address, int port) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const std::string name = entry.path().filename();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    if (fd < 0 || peer_of(fd) != std::pair(address, port)) continue;
    return shutdown(fd, SHUT_RDWR) == 0;
  }
  return false;
}

}  // namespace frameworks
