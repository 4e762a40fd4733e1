#include "agent/drain_sessions.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <charconv>
#include <cstring>

#include "base/fd.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/text.h"

namespace frameworks {
namespace {

constexpr std::string_view kScheme = "http://";

std::optional<int64_t> number_at(std::string_view text) {
  int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || number < 0) return {};
  // Not the beginning of something else, "3.5" or "3 of 7".
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  const bool ends =
      rest.empty() || std::string_view(" \t\r\n,}").find(rest[0]) != std::string_view::npos;
  if (!ends) return {};
  return number;
}

Result<Fd> connect_to(const std::string& host, uint16_t port) {
  ASSIGN_OR_RETURN(const IpAddress address, IpAddress::parse(host));
  Fd fd(socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{2, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int connected = -1;
  if (address.is_v4()) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    std::memcpy(&to.sin_addr, address.bytes().data(), 4);
    connected = connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    std::memcpy(&to.sin6_addr, address.bytes().data(), 16);
    connected = connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  if (connected != 0)
    return Error(Code::kUnavailable, fmt::format("nobody answers on {} port {}", host, port));
  return fd;
}

}  // namespace

std::optional<int64_t> parse_sessions(std::string_view body) {
  body = trim(body);
  if (!body.starts_with("{")) return number_at(body);
  // The agent reads JSON in this one place only; a library for it would cost a megabyte.
  constexpr std::string_view kName = "\"sessions\"";
  const size_t at = body.find(kName);
  if (at == std::string_view::npos) return {};
  const std::string_view value = trim(body.substr(at + kName.size()));
  if (!value.starts_with(":")) return {};
  return number_at(trim(value.substr(1)));
}

Result<std::string> ask_http(const std::string& url, size_t most) {
  const Error bad(Code::kInvalidArgument, fmt::format("\"{}\": not http://address:port/path", url));
  if (!url.starts_with(kScheme)) return bad;
  const size_t slash = url.find('/', kScheme.size());
  const std::string authority = url.substr(kScheme.size(), slash - kScheme.size());
  const std::string path = slash == std::string::npos ? "/" : url.substr(slash);
  const size_t colon = authority.rfind(':');
  uint16_t port = 0;
  if (colon == std::string::npos) return bad;
  std::from_chars(authority.data() + colon + 1, authority.data() + authority.size(), port);
  std::string host = authority.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  if (port == 0) return bad;
  ASSIGN_OR_RETURN(const Fd fd, connect_to(host, port));
  const std::string request =
      fmt::format("GET {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", path, authority);
  std::string answer;
  char buffer[4096];
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0)
    for (ssize_t n = 0; answer.size() < most && (n = recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
  const size_t body = answer.find("\r\n\r\n");
  const bool is_ok = answer.starts_with("HTTP/1.") && answer.size() > 12 && answer[9] == '2';
  if (!is_ok || body == std::string::npos)
    return Error(Code::kUnavailable, fmt::format("{} does not answer with 200", url));
  return answer.substr(body + 4);
}

void DrainSessions::set(const pb::ChecksSection& section) {
  std::map<std::string, std::string> sources;
  bool counts_streams = false;
  bool asks = false;
  for (const pb::InstanceChecks& instance : section.instances()) {
    if (instance.sessions().empty() || instance.from_outside()) continue;
    sources[instance.instance()] = instance.sessions();
    counts_streams |= instance.sessions() == kAgent;
    asks |= instance.sessions() != kAgent;
  }
  tenancy_.set_draining(counts_streams);
  if (sources_.with([&](const auto& present) { return present == sources; })) return;
  thread_ = {};  // stops and joins
  answers_.with([](auto& answers) { answers.clear(); });
  sources_.with([&](auto& present) { present = sources; });
  if (!asks) return;
  thread_ = std::jthread([this, sources](const std::stop_token& stop) { ask(sources, stop); });
}

void DrainSessions::ask(const std::map<std::string, std::string>& sources,
                        const std::stop_token& stop) {
  do {
    for (const auto& [instance, url] : sources) {
      if (url == kAgent) continue;
      if (stop.stop_requested()) return;
      const auto body = ask_http(url);
      const auto sessions = body ? parse_sessions(*body) : std::nullopt;
      const bool was_known = answers_.with([&, name = instance](auto& answers) {
        int64_t& known = answers.try_emplace(name, 0).first->second;
        const bool was = known >= 0;
        known = sessions.value_or(-1);
        return was;
      });
      if (!sessions && was_known)
        spdlog::warn("sessions of {}: {}", instance,
                     body ? "the answer is neither a number nor JSON with \"sessions\""
                          : body.error().message());
    }
  } while (clock_.sleep_for(kAsk, stop));
}

std::map<std::string, int64_t> DrainSessions::counts() const {
  const auto sources = sources_.with([](const auto& present) { return present; });
  std::map<std::string, int64_t> out;
  answers_.with([&](const auto& answers) {
    for (const auto& [instance, source] : sources) {
      const auto found = answers.find(instance);
      out[instance] = source == kAgent         ? tenancy_.sessions()
                      : found == answers.end() ? -1
                                               : found->second;
    }
  });
  return out;
}

}  // namespace frameworks
