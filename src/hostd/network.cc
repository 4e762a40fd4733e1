#include "hostd/network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <fstream>
#include <set>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "hostd/names.h"

namespace frameworks::hostd {
namespace {

Status ip_batch(const std::string& name, const std::vector<std::string>& lines) {
  if (lines.empty()) return {};
  const auto out = run_checked({.argv = {"ip", "-n", name, "-batch", "-"},
                                .input = fmt::format("{}\n", fmt::join(lines, "\n"))});
  if (!out) return out.error().with_context(fmt::format("network namespace \"{}\"", name));
  return {};
}

bool exists(const std::string& name) {
  std::error_code ignored;
  return std::filesystem::exists(namespace_path(name), ignored);
}

Status add_network_namespace(const std::string& name) {
  const auto out = run_checked({.argv = {"ip", "netns", "add", name}});
  if (!out) return out.error().with_context(fmt::format("network namespace \"{}\"", name));
  return {};
}

// /proc/sys/net is that of the thread's own namespace. A machine sees it read-only, so what its
// services need is set from here. What this kernel does not have is left out.
void set_control(std::string_view path, std::string_view value) {
  std::ofstream file(fmt::format("/proc/sys/{}", path));
  file << value;
}

Status set_machine_controls() {
  // Load balancers and keepalived bind addresses before they have them; gateways forward.
  set_control("net/ipv4/ip_nonlocal_bind", "1");
  set_control("net/ipv6/ip_nonlocal_bind", "1");
  set_control("net/ipv4/ip_forward", "1");
  set_control("net/ipv6/conf/all/forwarding", "1");
  set_control("net/ipv4/conf/all/accept_redirects", "0");
  // The fabric gives every address out once; waiting for a duplicate only delays the start.
  set_control("net/ipv6/conf/default/accept_dad", "0");
  set_control("net/ipv6/conf/eth0/accept_dad", "0");
  return {};
}

}  // namespace

std::vector<std::string> plan_fabric(const v1::EnsureFabricRequest& wanted,
                                     const Interfaces& observed, std::string_view owner) {
  std::vector<std::string> lines{"link set lo up"};
  std::set<std::string> keep;
  for (int i = 0; i < wanted.links_size(); ++i) {
    const std::string& region = wanted.links(i).region();
    const std::string bridge = bridge_name(region);
    const std::string tap = tap_name(region);
    keep.insert({bridge, tap});
    if (!observed.has(bridge)) {
      // A fixed address: left alone, a bridge takes the lowest of its ports' and changes with them.
      lines.push_back(fmt::format(
          "link add {} address {} type bridge stp_state 0 forward_delay 0 mcast_snooping 0", bridge,
          mac_of_label(bridge)));
    }
    lines.push_back(fmt::format("link set {} alias {} up", bridge, owner));
    if (!observed.has(tap)) lines.push_back(fmt::format("tuntap add {} mode tap", tap));
    lines.push_back(fmt::format("link set {} master {} up", tap, bridge));
    for (const InterfaceAddress& present : observed.addresses) {
      if (present.interface == bridge && (i > 0 || present.address.text() != wanted.host_address()))
        lines.push_back(fmt::format("addr del {} dev {}", present.address.text(), bridge));
    }
    if (i == 0)
      lines.push_back(fmt::format("addr replace {} dev {}", wanted.host_address(), bridge));
  }
  for (const std::string& name : observed.names) {
    if ((name.starts_with("br-") || name.starts_with("wan-")) && !keep.contains(name))
      lines.push_back(fmt::format("link del {}", name));
  }
  return lines;
}

Status ensure_fabric(std::string_view instance, const v1::EnsureFabricRequest& wanted,
                     std::string_view owner) {
  const std::string name = fabric_namespace(instance);
  if (!exists(name)) RETURN_IF_ERROR(add_network_namespace(name));
  ASSIGN_OR_RETURN(const Interfaces observed, interfaces_in(namespace_path(name)));
  return ip_batch(name, plan_fabric(wanted, observed, owner));
}

bool is_own_fabric(std::string_view instance, std::string_view owner) {
  const auto bridges = run_checked(
      {.argv = {"ip", "-n", fabric_namespace(instance), "link", "show", "type", "bridge"}});
  if (!bridges) return false;
  return bridges->find("alias ") == std::string::npos ||
         bridges->find(fmt::format("alias {}\n", owner)) != std::string::npos;
}

Status renew_machine_network(std::string_view instance, const v1::MachineSpec& spec) {
  RETURN_IF_ERROR(remove_machine_network(instance, spec.name()));
  const std::string name = machine_namespace(instance, spec.name());
  const std::string veth = veth_name(spec.name());
  ASSIGN_OR_RETURN(const Cidr address, Cidr::parse(spec.address()));
  RETURN_IF_ERROR(add_network_namespace(name));
  RETURN_IF_ERROR(
      ip_batch(fabric_namespace(instance),
               {fmt::format("link add {} address {} type veth peer name eth0 address {} netns {}",
                            veth, mac_of_label(veth), mac_of_address(address.address()), name),
                fmt::format("link set {} master {} up", veth, bridge_name(spec.region()))}));
  RETURN_IF_ERROR(in_network_namespace(namespace_path(name), set_machine_controls));
  std::vector<std::string> lines{
      "link set lo up", fmt::format("addr add {} dev eth0", address.text()), "link set eth0 up"};
  if (!spec.gateway().empty())
    lines.push_back(fmt::format("route add default via {}", spec.gateway()));
  return ip_batch(name, lines);
}

Status cut_machine_network(std::string_view instance, const std::string& machine) {
  const std::string fabric = fabric_namespace(instance);
  const std::string veth = veth_name(machine);
  if (!exists(fabric)) return {};
  ASSIGN_OR_RETURN(const Interfaces observed, interfaces_in(namespace_path(fabric)));
  if (!observed.has(veth)) return {};
  return ip_batch(fabric, {fmt::format("link set {} down", veth)});
}

Status remove_machine_network(std::string_view instance, const std::string& machine) {
  const std::string fabric = fabric_namespace(instance);
  const std::string veth = veth_name(machine);
  if (exists(fabric)) {
    // By name and at once: with its namespace alone it would go some time after.
    ASSIGN_OR_RETURN(const Interfaces observed, interfaces_in(namespace_path(fabric)));
    if (observed.has(veth)) RETURN_IF_ERROR(ip_batch(fabric, {fmt::format("link del {}", veth)}));
  }
  return remove_network_namespace(machine_namespace(instance, machine));
}

Status remove_network_namespace(const std::string& name) {
  if (!exists(name)) return {};
  const auto out = run_checked({.argv = {"ip", "netns", "del", name}});
  if (!out && exists(name))
    return out.error().with_context(fmt::format("network namespace \"{}\"", name));
  return {};
}

Status raise_host_limits() {
  // Neighbour tables are counted over all namespaces: N machines that know each other are N²
  // entries.
  const std::pair<const char*, int64_t> limits[] = {
      {"/proc/sys/net/ipv4/neigh/default/gc_thresh1", 16384},
      {"/proc/sys/net/ipv4/neigh/default/gc_thresh2", 32768},
      {"/proc/sys/net/ipv4/neigh/default/gc_thresh3", 65536},
      {"/proc/sys/net/ipv6/neigh/default/gc_thresh1", 16384},
      {"/proc/sys/net/ipv6/neigh/default/gc_thresh2", 32768},
      {"/proc/sys/net/ipv6/neigh/default/gc_thresh3", 65536},
      {"/proc/sys/fs/inotify/max_user_instances", 8192},
      {"/proc/sys/fs/inotify/max_user_watches", 524288},
  };
  for (const auto& [path, wanted] : limits) {
    const auto text = read_file(path);
    if (!text) continue;
    int64_t present = 0;
    const std::string_view digits = trim(*text);
    std::from_chars(digits.data(), digits.data() + digits.size(), present);
    if (present >= wanted) continue;
    std::ofstream file(path);
    file << wanted;
    file.flush();
    if (!file) return errno_error(fmt::format("raise {} to {}", path, wanted));
  }
  return {};
}

}  // namespace frameworks::hostd
