#include "hostd/names.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/text.h"

namespace frameworks::hostd {
namespace {

constexpr size_t kLongestInterfaceName = 15;

std::string interface_name(std::string_view prefix, std::string_view label) {
  if (prefix.size() + label.size() <= kLongestInterfaceName)
    return fmt::format("{}{}", prefix, label);
  const size_t room = kLongestInterfaceName - prefix.size();
  return fmt::format("{}{}", prefix, sha256_hex(label).substr(0, room));
}

}  // namespace

std::string fabric_namespace(std::string_view instance) { return std::string(instance); }

std::string machine_namespace(std::string_view instance, std::string_view machine) {
  return fmt::format("{}.{}", instance, machine);
}

std::filesystem::path namespace_path(std::string_view name) {
  return std::filesystem::path("/run/netns") / name;
}

std::string bridge_name(std::string_view region) { return interface_name("br-", region); }
std::string tap_name(std::string_view region) { return interface_name("wan-", region); }
std::string veth_name(std::string_view machine) { return interface_name("m-", machine); }

std::string mac_of_address(const IpAddress& address) {
  const auto& b = address.bytes();
  if (address.is_v4())
    return fmt::format("02:0f:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3]);
  return mac_of_label(address.text());
}

std::string mac_of_label(std::string_view label) {
  const std::string hash = sha256(label);
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(hash[i]); };
  return fmt::format("06:0f:{:02x}:{:02x}:{:02x}:{:02x}", byte(0), byte(1), byte(2), byte(3));
}

}  // namespace frameworks::hostd
