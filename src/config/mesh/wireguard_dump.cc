#include "config/mesh/wireguard_dump.h"

#include <charconv>
#include <utility>

#include "base/text.h"

namespace frameworks {
namespace {

int number(std::string_view text) {
  int out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace

WireguardConfig parse_wireguard_dump(std::string_view dump) {
  WireguardConfig out;
  bool first = true;
  for (const std::string& line : split(dump, '\n')) {
    if (line.empty()) continue;
    const auto fields = split(line, '\t');
    if (std::exchange(first, false)) {
      if (fields.size() < 3) break;
      out.private_key = fields[0] == "(none)" ? "" : fields[0];
      out.listen_port = number(fields[2]);
    } else if (fields.size() >= 8) {
      WireguardPeer& peer = out.peers.emplace_back();
      peer.public_key = fields[0];
      if (fields[2] != "(none)") peer.endpoint = fields[2];
      if (fields[3] != "(none)") peer.allowed_ips = split(fields[3], ',');
      peer.keepalive = number(fields[7]);  // "off" reads as 0
    }
  }
  return out;
}

}  // namespace frameworks
