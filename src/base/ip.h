// IP addresses and prefixes (RFC 4291, RFC 4632).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace frameworks {

// IPv4 or IPv6. Ordered: IPv4 first, then by value.
class IpAddress {
 public:
  static Result<IpAddress> parse(std::string_view text);
  [[nodiscard]] bool is_v4() const { return v4_; }
  // 32 or 128.
  [[nodiscard]] int bits() const { return v4_ ? 32 : 128; }
  [[nodiscard]] std::string text() const;
  // The address `offset` further on.
  [[nodiscard]] IpAddress plus(uint64_t offset) const;
  // Network order; 4 bytes used for IPv4.
  [[nodiscard]] const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  auto operator<=>(const IpAddress&) const = default;

 private:
  friend class Cidr;
  bool v4_ = true;
  std::array<uint8_t, 16> bytes_{};
};

// An address and a prefix length. parse() allows host bits ("10.0.0.1/24"); network() clears them.
class Cidr {
 public:
  static Result<Cidr> parse(std::string_view text);
  Cidr(IpAddress address, int prefix) : address_(address), prefix_(prefix) {}
  [[nodiscard]] const IpAddress& address() const { return address_; }
  [[nodiscard]] int prefix() const { return prefix_; }
  [[nodiscard]] Cidr network() const;
  [[nodiscard]] bool has_host_bits() const { return network().address_ != address_; }
  [[nodiscard]] bool contains(const IpAddress& address) const;
  [[nodiscard]] bool overlaps(const Cidr& other) const;
  // Number of addresses, at most 2^63.
  [[nodiscard]] uint64_t size() const;
  [[nodiscard]] std::string text() const;
  bool operator==(const Cidr&) const = default;

 private:
  IpAddress address_;
  int prefix_ = 0;
};

}  // namespace frameworks
