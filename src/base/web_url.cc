#include "base/web_url.h"

#include <algorithm>
#include <charconv>

#include "base/ip.h"

namespace frameworks {
namespace {

constexpr size_t kMaxUrl = 2048;

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Error bad(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  const auto address = IpAddress::parse(host);
  if (!address) return false;
  if (address->is_v4()) return address->bytes()[0] == 127;
  return *address == *IpAddress::parse("::1");
}

Status split_authority(std::string_view authority, WebUrl& out) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return bad("has a \"[\" without its \"]\"");
    out.host = authority.substr(1, end - 1);
    const auto address = IpAddress::parse(out.host);
    if (!address || address->is_v4()) return bad("has no IPv6 address in its brackets");
    authority.remove_prefix(end + 1);
    if (!authority.empty() && !authority.starts_with(':')) return bad("has no host that is known");
    port = authority;
  } else {
    const size_t colon = authority.find(':');
    out.host = authority.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
    const bool good = std::all_of(out.host.begin(), out.host.end(),
                                  [](char c) { return is_alnum(c) || c == '-' || c == '.'; });
    if (out.host.empty() || !good)
      return bad("has no host name in letters, digits, \"-\" and \".\"");
  }
  if (port.empty()) return {};
  port.remove_prefix(1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size() || out.port < 1 || out.port > 65535)
    return bad("has a port that is none (1 to 65535)");
  return {};
}

}  // namespace

Result<WebUrl> parse_web_url(std::string_view text) {
  if (text.size() > kMaxUrl) return bad("is longer than 2048 characters");
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) {
    return is_alnum(c) ||
           std::string_view("-._~:/?[]!$&'()*+,;=%").find(c) != std::string_view::npos;
  });
  if (!clean) return bad("has a character that is not allowed here (no \"@\", \"#\", blanks)");
  WebUrl out;
  if (text.starts_with("https://")) {
    out.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return bad("does not begin with https://");
  }
  RETURN_IF_ERROR(split_authority(text.substr(0, text.find_first_of("/?")), out));
  if (!out.tls && !is_loopback(out.host)) return bad("is plain http to another host: use https");
  return out;
}

}  // namespace frameworks
