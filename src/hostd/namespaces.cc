#include "hostd/namespaces.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"

namespace frameworks::hostd {
namespace {

// One connection attempt, until it has said "SSH-" or failed.
struct Probe {
  Fd socket;
  std::string banner;
  bool done = false;
  bool ready = false;
};

Probe start_probe(const IpAddress& address) {
  Probe probe;
  probe.socket = Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(22);
  std::memcpy(&to.sin_addr, address.bytes().data(), 4);
  if (!probe.socket.valid() ||
      (connect(probe.socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 &&
       errno != EINPROGRESS))
    probe.done = true;
  return probe;
}

void advance_probe(Probe& probe) {
  constexpr std::string_view kBanner = "SSH-";
  std::array<char, 64> buffer{};
  const ssize_t n = recv(probe.socket.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) probe.banner.append(buffer.data(), static_cast<size_t>(n));
  probe.ready = probe.banner.starts_with(kBanner);
  probe.done = n <= 0 || probe.banner.size() >= kBanner.size();
}

std::vector<bool> run_probes(const std::vector<IpAddress>& addresses,
                             std::chrono::milliseconds timeout) {
  std::vector<Probe> probes;
  for (const IpAddress& address : addresses) probes.push_back(start_probe(address));
  const MonoTime deadline = system_clock().mono() + timeout;
  while (true) {
    std::vector<pollfd> waiting;
    std::vector<Probe*> owners;
    for (Probe& probe : probes) {
      if (probe.done) continue;
      waiting.push_back({probe.socket.get(), POLLIN, 0});
      owners.push_back(&probe);
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - system_clock().mono());
    if (waiting.empty() || left.count() <= 0) break;
    poll(waiting.data(), waiting.size(), static_cast<int>(left.count()));
    for (size_t i = 0; i < waiting.size(); ++i)
      if (waiting[i].revents != 0) advance_probe(*owners[i]);
  }
  std::vector<bool> out;
  for (const Probe& probe : probes) out.push_back(probe.ready);
  return out;
}

Status list_interfaces(Interfaces& out) {
  struct if_nameindex* names = if_nameindex();
  if (names == nullptr) return errno_error("list interfaces");
  for (auto* entry = names; entry->if_index != 0; ++entry) out.names.emplace_back(entry->if_name);
  if_freenameindex(names);

  ifaddrs* addresses = nullptr;
  if (getifaddrs(&addresses) != 0) return errno_error("list addresses");
  for (auto* entry = addresses; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET ||
        entry->ifa_netmask == nullptr)
      continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr, text.data(),
              text.size());
    const int prefix =
        std::popcount(reinterpret_cast<sockaddr_in*>(entry->ifa_netmask)->sin_addr.s_addr);
    if (auto parsed = IpAddress::parse(text.data()))
      out.addresses.push_back({entry->ifa_name, Cidr(*parsed, prefix)});
  }
  freeifaddrs(addresses);
  return {};
}

}  // namespace

Status enter_network_namespace(const std::filesystem::path& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(fmt::format("open {}", path.string()));
  if (setns(fd.get(), CLONE_NEWNET) != 0)
    return errno_error(fmt::format("enter {}", path.string()));
  return {};
}

Status in_network_namespace(const std::filesystem::path& path,
                            const std::function<Status()>& work) {
  Status status;
  std::jthread([&] {
    status = enter_network_namespace(path);
    if (status) status = work();
  }).join();
  return status;
}

bool Interfaces::has(const std::string& name) const { return std::ranges::count(names, name) > 0; }

Result<Interfaces> interfaces_in(const std::filesystem::path& path) {
  Interfaces out;
  RETURN_IF_ERROR(in_network_namespace(path, [&] { return list_interfaces(out); }));
  return out;
}

Result<std::vector<bool>> probe_ssh(const std::filesystem::path& path,
                                    const std::vector<IpAddress>& addresses,
                                    std::chrono::milliseconds timeout) {
  std::vector<bool> out;
  RETURN_IF_ERROR(in_network_namespace(path, [&]() -> Status {
    out = run_probes(addresses, timeout);
    return {};
  }));
  return out;
}

}  // namespace frameworks::hostd
