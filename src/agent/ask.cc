#include "agent/ask.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <charconv>

#include "base/fd.h"

namespace frameworks {

Result<std::string> ask_agent(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  uint16_t port = 0;
  const std::string host = address.substr(0, colon);
  if (colon != std::string::npos)
    std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  to.sin_port = htons(port);
  if (port == 0 || inet_pton(AF_INET, host.c_str(), &to.sin_addr) != 1)
    return Error(Code::kInvalidArgument, fmt::format("\"{}\": not address:port", address));
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{2, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    return Error(Code::kUnavailable, fmt::format("no agent answers on {}", address));
  const std::string request = "GET /v1/status HTTP/1.0\r\nConnection: close\r\n\r\n";
  std::string answer;
  char buffer[4096];
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0)
    for (ssize_t n = 0; (n = recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
  const size_t body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.") || body == std::string::npos)
    return Error(Code::kUnavailable, fmt::format("what answers on {} is no agent", address));
  return answer.substr(body + 4);
}

}  // namespace frameworks
