#include "config/mesh/mesh_driver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace frameworks {
namespace {

WireguardConfig wireguard_config(const pb::MeshSection& section, const std::string& private_key) {
  WireguardConfig out;
  out.private_key = private_key;
  out.listen_port = section.listen_port();
  out.addresses.assign(section.addresses().begin(), section.addresses().end());
  for (const pb::MeshPeer& peer : section.peers()) {
    WireguardPeer& added = out.peers.emplace_back();
    added.public_key = peer.public_key();
    added.endpoint = peer.endpoint();
    added.allowed_ips.assign(peer.allowed_ips().begin(), peer.allowed_ips().end());
    added.keepalive = peer.persistent_keepalive();
  }
  return out;
}

// In a container these may be read-only; that matters only where the value is not right already.
Status ensure_one(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};  // that family is not there
  ASSIGN_OR_RETURN(const std::string present, read_file(file));
  if (trim(present) == "1") return {};
  const Fd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), "1\n", 2) != 2)
    return errno_error(fmt::format("switch on forwarding: write {}", file.string()));
  return {};
}

Status ensure_forwarding(const pb::MeshSection& section, const std::filesystem::path& sysctl) {
  RETURN_IF_ERROR(ensure_one(sysctl / "net/ipv4/ip_forward"));
  const bool v6 =
      std::any_of(section.addresses().begin(), section.addresses().end(),
                  [](const std::string& text) { return text.find(':') != std::string::npos; });
  return v6 ? ensure_one(sysctl / "net/ipv6/conf/all/forwarding") : Status();
}

}  // namespace

Status apply_mesh(const pb::MeshSection& section, const std::string& private_key,
                  Wireguard& wireguard, const std::filesystem::path& sysctl) {
  if (auto done = wireguard.set(wireguard_config(section, private_key)); !done) return done.error();
  // Last: a node that cannot forward still takes part itself.
  return section.forward() ? ensure_forwarding(section, sysctl) : Status();
}

}  // namespace frameworks
