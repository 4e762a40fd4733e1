#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/ip.h"
#include "base/process.h"
#include "base/text.h"
#include "config/mesh/greetings.h"
#include "config/mesh/wireguard.h"
#include "config/mesh/wireguard_dump.h"

namespace frameworks {
namespace {

constexpr std::chrono::seconds kTimeout{15};
// Says on the interface whose it is.
constexpr std::string_view kAlias = "frameworks-mesh";
// Marks our routes; not among the numbers of iproute2's rt_protos.
constexpr std::string_view kRouteProtocol = "87";
// An Ethernet frame less the overhead of WireGuard over IPv6.
constexpr int kMtu = 1420;

Result<std::string> tool(std::vector<std::string> argv, std::string input = {}) {
  return run_checked({.argv = std::move(argv), .input = std::move(input), .timeout = kTimeout});
}

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  for (std::string& word : split(line, ' '))
    if (!word.empty()) out.push_back(std::move(word));
  return out;
}

std::vector<std::string> lines(const std::string& text) {
  auto out = split(text, '\n');
  std::erase_if(out, [](const std::string& line) { return line.empty(); });
  return out;
}

// "10.0.0.1" → "10.0.0.1/32", as WireGuard itself writes prefixes.
std::string with_length(const std::string& text) {
  if (text.find('/') != std::string::npos) return text;
  return text + (text.find(':') == std::string::npos ? "/32" : "/128");
}

// One spelling of every prefix, so that texts compare.
Result<std::vector<std::string>> canonical(const std::vector<std::string>& prefixes) {
  std::vector<std::string> out;
  for (const std::string& text : prefixes) {
    ASSIGN_OR_RETURN(const Cidr cidr, Cidr::parse(with_length(text)));
    out.push_back(cidr.text());
  }
  return out;
}

Result<WireguardConfig> canonical(WireguardConfig config) {
  ASSIGN_OR_RETURN(config.addresses, canonical(config.addresses));
  for (WireguardPeer& peer : config.peers) {
    const auto key = base64_decode(peer.public_key);
    if (!key || key->size() != 32)
      return Error(Code::kInvalidArgument,
                   fmt::format("peer {}: key: not 32 bytes in base64", peer.endpoint));
    ASSIGN_OR_RETURN(peer.allowed_ips, canonical(peer.allowed_ips));
  }
  return normalized(std::move(config));
}

std::string peer_text(const WireguardPeer& peer) {
  std::string out = fmt::format("[Peer]\nPublicKey = {}\n", peer.public_key);
  if (!peer.endpoint.empty()) out += fmt::format("Endpoint = {}\n", peer.endpoint);
  if (peer.keepalive != 0) out += fmt::format("PersistentKeepalive = {}\n", peer.keepalive);
  if (!peer.allowed_ips.empty())
    out += fmt::format("AllowedIPs = {}\n", fmt::join(peer.allowed_ips, ", "));
  return out;
}

std::string configuration_text(const WireguardConfig& config) {
  std::string out = fmt::format("[Interface]\nPrivateKey = {}\nListenPort = {}\n",
                                config.private_key, config.listen_port);
  for (const WireguardPeer& peer : config.peers) out += peer_text(peer);
  return out;
}

class WireguardTool final : public Wireguard {
 public:
  explicit WireguardTool(std::string interface) : interface_(std::move(interface)) {}

  std::string backend() override {
    if (backend_.empty()) backend_ = find_backend();
    return backend_;
  }

  Result<Observed> observe() override {
    Observed out;
    if (if_nametoindex(interface_.c_str()) == 0) return out;
    out.exists = true;
    ASSIGN_OR_RETURN(const std::string dump, tool({"wg", "show", interface_, "dump"}));
    out.config = parse_wireguard_dump(dump);
    ASSIGN_OR_RETURN(out.config.addresses, observe_addresses());
    ASSIGN_OR_RETURN(out.config, canonical(std::move(out.config)));
    ASSIGN_OR_RETURN(out.routes, observe_routes());
    std::sort(out.routes.begin(), out.routes.end());
    return out;
  }

  Result<Effect> set(const WireguardConfig& wanted_config) override {
    ASSIGN_OR_RETURN(const WireguardConfig wanted, canonical(wanted_config));
    greeter_ = {};  // one at a time; whom it had still to greet, the next one greets
    ASSIGN_OR_RETURN(bool changed, ensure_interface());
    ASSIGN_OR_RETURN(const Observed present, observe());
    auto same_but_addresses = present.config;
    same_but_addresses.addresses = wanted.addresses;
    if (same_but_addresses != wanted) {
      changed = true;
      if (auto done =
              tool({"wg", "syncconf", interface_, "/dev/stdin"}, configuration_text(wanted));
          !done)
        return done.error();
    }
    const std::string batch = ip_commands(present, wanted);
    if (!batch.empty()) {
      changed = true;
      if (auto done = tool({"ip", "-batch", "-"}, batch); !done) return done.error();
    }
    greet_new_peers(present.config, wanted);
    return changed ? Effect::kChanged : Effect::kNothing;
  }

 private:
  // An interface that is there decides; else whether the kernel can make one.
  std::string find_backend() {
    if (if_nametoindex(interface_.c_str()) != 0)
      return user_space_socket_exists() ? "wireguard-go" : "kernel";
    const std::string probe = fmt::format("fwp{}", getpid());
    const auto made = run(
        {.argv = {"ip", "link", "add", "dev", probe, "type", "wireguard"}, .timeout = kTimeout});
    if (!made || made->exit_code != 0) return "wireguard-go";
    (void)run({.argv = {"ip", "link", "delete", "dev", probe}, .timeout = kTimeout});
    return "kernel";
  }

  [[nodiscard]] bool user_space_socket_exists() const {
    return access(fmt::format("/var/run/wireguard/{}.sock", interface_).c_str(), F_OK) == 0;
  }

  // Whether it had to be made.
  Result<bool> ensure_interface() {
    const bool there = if_nametoindex(interface_.c_str()) != 0;
    if (there) {
      ASSIGN_OR_RETURN(const bool ours, is_ours());
      if (ours) return false;
      ASSIGN_OR_RETURN(const bool untouched, has_no_key());
      if (!untouched)
        return Error(
            Code::kFailedPrecondition,
            fmt::format("interface {} is not ours (it has no alias \"{}\"): remove or rename it",
                        interface_, kAlias));
    } else {
      RETURN_IF_ERROR(backend() == "kernel" ? make_in_kernel() : make_in_user_space());
    }
    if (auto done = tool({"ip", "link", "set", "dev", interface_, "alias", std::string(kAlias),
                          "mtu", std::to_string(kMtu), "up"});
        !done)
      return done.error();
    return true;
  }

  Result<bool> is_ours() {
    ASSIGN_OR_RETURN(const std::string link,
                     tool({"ip", "-details", "-o", "link", "show", "dev", interface_}));
    return link.find(fmt::format("alias {}", kAlias)) != std::string::npos;
  }

  // Made but never configured: an earlier run of ours ended between the two steps.
  Result<bool> has_no_key() {
    ASSIGN_OR_RETURN(const Output dump,
                     run({.argv = {"wg", "show", interface_, "private-key"}, .timeout = kTimeout}));
    return dump.exit_code == 0 && trim(dump.out) == "(none)";
  }

  Status make_in_kernel() {
    if (auto done = tool({"ip", "link", "add", "dev", interface_, "type", "wireguard"}); !done)
      return done.error();
    return {};
  }

  // wireguard-go goes to the background by itself once its socket is there. Nothing holds on to it:
  // it is found again by the interface and the socket.
  Status make_in_user_space() {
    if (access("/dev/net/tun", R_OK | W_OK) != 0)
      return Error(
          Code::kFailedPrecondition,
          "the kernel has no WireGuard and /dev/net/tun is not there for wireguard-go: load the "
          "module wireguard or tun");
    if (auto done = tool({"wireguard-go", interface_}); !done) return done.error();
    return {};
  }

  void greet_new_peers(const WireguardConfig& present, const WireguardConfig& wanted) {
    greetings_.update(present, wanted, system_clock().mono());
    if (!greetings_.next()) return;
    greeter_ = std::jthread([this](const std::stop_token& stop) {
      while (const auto next = greetings_.next()) {
        if (!system_clock().sleep_for(*next - system_clock().mono(), stop)) return;
        greet_who_is_due();
      }
    });
  }

  void greet_who_is_due() {
    const auto handshakes = tool({"wg", "show", interface_, "latest-handshakes"});
    std::set<std::string> without;  // a handshake; none where the interface has gone
    if (handshakes)
      for (const std::string& line : lines(*handshakes))
        if (line.ends_with("\t0")) without.insert(line.substr(0, line.size() - 2));
    const auto due = greetings_.take(system_clock().mono(), without);
    std::vector<std::string> removal{"wg", "set", interface_};
    std::string addition;
    for (const Greeting& greeting : due) {
      if (!greeting.anew) continue;
      removal.insert(removal.end(), {"peer", greeting.peer.public_key, "remove"});
      addition += peer_text(greeting.peer);
    }
    if (!addition.empty() &&
        (!tool(removal) || !tool({"wg", "addconf", interface_, "/dev/stdin"}, addition)))
      return;  // the next set() finds what is missing
    for (const Greeting& greeting : due) greet(greeting.address);
  }

  // An empty datagram to a port that discards it (RFC 863). One that is lost does no harm.
  static void greet(uint32_t address) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_port = htons(9);
    target.sin_addr.s_addr = htonl(address);
    (void)sendto(socket.get(), "", 0, 0, reinterpret_cast<const sockaddr*>(&target), sizeof target);
  }

  Result<std::vector<std::string>> observe_addresses() {
    ASSIGN_OR_RETURN(const std::string text,
                     tool({"ip", "-o", "address", "show", "dev", interface_, "scope", "global"}));
    std::vector<std::string> out;
    for (const std::string& line : lines(text)) {
      const auto fields = words(line);
      for (size_t i = 0; i + 1 < fields.size(); ++i)
        if (fields[i] == "inet" || fields[i] == "inet6") out.push_back(fields[i + 1]);
    }
    return out;
  }

  Result<std::vector<std::string>> observe_routes() {
    std::vector<std::string> out;
    for (const char* family : {"-4", "-6"}) {
      ASSIGN_OR_RETURN(const std::string text,
                       tool({"ip", family, "-o", "route", "show", "dev", interface_, "proto",
                             std::string(kRouteProtocol)}));
      for (const std::string& line : lines(text)) {
        const auto fields = words(line);
        if (fields.empty()) continue;
        const std::string any = std::string(family) == "-4" ? "0.0.0.0/0" : "::/0";
        out.push_back(fields[0] == "default" ? any : with_length(fields[0]));
      }
    }
    return canonical(out);
  }

  // New before old, so that an address that stays reachable never is not.
  std::string ip_commands(const Observed& present, const WireguardConfig& wanted) const {
    const auto difference = [](const std::vector<std::string>& a,
                               const std::vector<std::string>& b) {
      std::vector<std::string> out;
      const std::set<std::string> other(b.begin(), b.end());
      for (const std::string& text : a)
        if (!other.contains(text)) out.push_back(text);
      return out;
    };
    const auto routes = routed_prefixes(wanted);
    std::string out;
    for (const auto& a : difference(wanted.addresses, present.config.addresses))
      out += fmt::format("address add {} dev {}{}\n", a, interface_,
                         a.find(':') != std::string::npos ? " nodad" : "");
    for (const auto& r : difference(routes, present.routes))
      out += fmt::format("route replace {} dev {} proto {}\n", r, interface_, kRouteProtocol);
    for (const auto& r : difference(present.routes, routes))
      out += fmt::format("route delete {} dev {} proto {}\n", r, interface_, kRouteProtocol);
    for (const auto& a : difference(present.config.addresses, wanted.addresses))
      out += fmt::format("address delete {} dev {}\n", a, interface_);
    return out;
  }

  std::string interface_;
  std::string backend_;
  Greetings greetings_;   // the greeter's while it runs
  std::jthread greeter_;  // in the network namespace of who called set()
};

}  // namespace

std::unique_ptr<Wireguard> make_wireguard(std::string interface) {
  return std::make_unique<WireguardTool>(std::move(interface));
}

}  // namespace frameworks
