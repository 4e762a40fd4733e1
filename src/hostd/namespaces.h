// Work done inside a network namespace, on a thread of its own: a thread that has changed namespace
// is never used for anything else. Sockets made there stay in that namespace wherever they are
// used.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ip.h"

namespace frameworks::hostd {

// Moves the calling thread; for processes and threads made for it.
Status enter_network_namespace(const std::filesystem::path& path);

// Runs `work` inside and waits for it.
Status in_network_namespace(const std::filesystem::path& path, const std::function<Status()>& work);

struct InterfaceAddress {
  std::string interface;
  Cidr address;
};
struct Interfaces {
  std::vector<std::string> names;
  std::vector<InterfaceAddress> addresses;  // IPv4 only
  [[nodiscard]] bool has(const std::string& name) const;
};
Result<Interfaces> interfaces_in(const std::filesystem::path& path);

// Which of `addresses` greet with an SSH banner on port 22 within `timeout`, in the same order.
Result<std::vector<bool>> probe_ssh(const std::filesystem::path& path,
                                    const std::vector<IpAddress>& addresses,
                                    std::chrono::milliseconds timeout);

}  // namespace frameworks::hostd
