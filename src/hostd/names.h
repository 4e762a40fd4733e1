// Every name that an instance gives to something on the host follows from the instance's name, so
// that several instances live side by side and `down` finds what is its own.
//
// Bridges, TAPs and veths live in the instance's own network namespace and need no prefix.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ip.h"

namespace frameworks::hostd {

// "frameworks": the fabric, which holds bridges, TAPs and the near ends of veths.
std::string fabric_namespace(std::string_view instance);
// "frameworks.<machine>"; the dot, which no label has, keeps instances apart.
std::string machine_namespace(std::string_view instance, std::string_view machine);
std::filesystem::path namespace_path(std::string_view name);

// Interface names in the fabric, at most 15 characters: readable where the label is short enough,
// a hash of it otherwise.
std::string bridge_name(std::string_view region);
std::string tap_name(std::string_view region);
std::string veth_name(std::string_view machine);

// Locally administered addresses that follow from what they stand for: a machine that comes back
// with the same IP has the same MAC, so no neighbour keeps a stale entry.
std::string mac_of_address(const IpAddress& address);
std::string mac_of_label(std::string_view label);

}  // namespace frameworks::hostd
