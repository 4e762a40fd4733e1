#include "base/dial.h"

#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "base/ip.h"
#include "base/text.h"

namespace frameworks {
namespace {

// "[::1]:19002" or "core-1:19002" → host and port.
Result<std::pair<std::string, std::string>> split_port(std::string_view server) {
  const size_t colon = server.rfind(':');
  std::string_view host = server.substr(0, colon);
  const std::string_view port = colon == std::string_view::npos ? "" : server.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const bool is_number =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (host.empty() || !is_number)
    return Error(Code::kInvalidArgument, fmt::format("server \"{}\": write HOST:PORT", server));
  return std::pair{std::string(host), std::string(port)};
}

std::vector<IpAddress> look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  std::vector<IpAddress> out;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    std::string text(NI_MAXHOST, '\0');
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text.data(), static_cast<socklen_t>(text.size()),
                    nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    text.resize(text.find('\0'));
    if (auto address = IpAddress::parse(text)) out.push_back(*address);
  }
  return out;
}

}  // namespace

Result<std::string> dial_target(std::string_view servers, DialOrder order) {
  std::vector<std::string> parts;
  for (const std::string& part : split(servers, ','))
    if (!trim(part).empty()) parts.emplace_back(trim(part));
  if (parts.size() == 1) return parts.front();  // gRPC looks it up, again and again
  if (order == DialOrder::kShuffled)
    std::shuffle(parts.begin(), parts.end(), std::mt19937(std::random_device{}()));
  std::vector<std::pair<IpAddress, std::string>> places;
  bool all_v4 = true;
  for (const std::string& part : parts) {
    ASSIGN_OR_RETURN(const auto place, split_port(part));
    for (const IpAddress& address : look_up(place.first)) {
      places.emplace_back(address, place.second);
      all_v4 &= address.is_v4();
    }
  }
  if (places.empty())
    return Error(Code::kUnavailable, fmt::format("none of the servers \"{}\" is known", servers));
  // gRPC takes a list of one family; IPv4 has its place in IPv6 (RFC 4291, 2.5.5.2).
  std::string out = all_v4 ? "ipv4:" : "ipv6:";
  for (size_t i = 0; i < places.size(); ++i) {
    const auto& [address, port] = places[i];
    if (i > 0) out += ',';
    if (all_v4)
      out += fmt::format("{}:{}", address.text(), port);
    else
      out += fmt::format("[{}{}]:{}", address.is_v4() ? "::ffff:" : "", address.text(), port);
  }
  return out;
}

}  // namespace frameworks
