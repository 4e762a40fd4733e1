#include "base/ip.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

namespace frameworks {

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress out;
  const std::string copy(text);
  if (inet_pton(AF_INET, copy.c_str(), out.bytes_.data()) == 1 && copy.size() == text.size())
    return out;
  out.v4_ = false;
  out.bytes_ = {};
  if (inet_pton(AF_INET6, copy.c_str(), out.bytes_.data()) == 1 && copy.size() == text.size())
    return out;
  return Error(Code::kInvalidArgument, fmt::format("\"{}\": not an IP address", text));
}

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN];
  inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), buffer, sizeof buffer);
  return buffer;
}

IpAddress IpAddress::plus(uint64_t offset) const {
  IpAddress out = *this;
  uint64_t carry = offset;
  for (int i = bits() / 8 - 1; i >= 0 && carry != 0; --i) {
    const uint64_t sum = out.bytes_[static_cast<size_t>(i)] + (carry & 0xff);
    out.bytes_[static_cast<size_t>(i)] = static_cast<uint8_t>(sum & 0xff);
    carry = (carry >> 8) + (sum >> 8);
  }
  return out;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return Error(Code::kInvalidArgument, fmt::format("\"{}\": no prefix length", text));
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return Error(Code::kInvalidArgument, fmt::format("\"{}\": not a prefix", text));
  const auto digits = text.substr(slash + 1);
  int prefix = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (failed != std::errc{} || end != digits.data() + digits.size() || prefix < 0)
    return Error(Code::kInvalidArgument, fmt::format("\"{}\": bad prefix length", text));
  if (prefix > address->bits())
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: prefix too long (at most {})", text, address->bits()));
  return Cidr(*address, prefix);
}

Cidr Cidr::network() const {
  Cidr out = *this;
  for (int bit = prefix_; bit < address_.bits(); ++bit)
    out.address_.bytes_[static_cast<size_t>(bit / 8)] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
  return out;
}

bool Cidr::contains(const IpAddress& address) const {
  return address.is_v4() == address_.is_v4() &&
         Cidr(address, prefix_).network().address_ == network().address_;
}

bool Cidr::overlaps(const Cidr& other) const {
  return prefix_ <= other.prefix_ ? contains(other.address_) : other.contains(address_);
}

uint64_t Cidr::size() const {
  const int host_bits = address_.bits() - prefix_;
  return uint64_t{1} << (host_bits > 63 ? 63 : host_bits);
}

std::string Cidr::text() const { return fmt::format("{}/{}", address_.text(), prefix_); }

}  // namespace frameworks
