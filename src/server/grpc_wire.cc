#include "server/grpc_wire.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/memory.h"

namespace frameworks {

void append_grpc_prefix(size_t message_bytes, std::string& out) {
  out += '\0';
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>((message_bytes >> shift) & 0xff);
}

Result<Duration> parse_grpc_timeout(std::string_view text) {
  constexpr size_t kMostDigits = 8;
  constexpr Duration kLongest = std::chrono::hours(24 * 3650);
  constexpr std::string_view kUnits = "HMSmun";
  constexpr std::array<Duration, kUnits.size()> kLengths{
      std::chrono::hours(1),        std::chrono::minutes(1),      std::chrono::seconds(1),
      std::chrono::milliseconds(1), std::chrono::microseconds(1), std::chrono::nanoseconds(1)};
  const auto refused = [&] {
    return Error(Code::kInvalidArgument, fmt::format("grpc-timeout \"{}\" is none", text));
  };
  if (text.size() < 2 || text.size() > kMostDigits + 1) return refused();
  int64_t value = 0;
  const char* end = text.data() + text.size() - 1;
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || value < 0) return refused();
  const size_t unit = kUnits.find(*end);
  if (unit == kUnits.npos) return refused();
  return value > kLongest / kLengths[unit] ? kLongest : value * kLengths[unit];
}

std::string grpc_percent_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%')
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Result<size_t> GrpcMessages::size_of(std::string_view bytes, size_t limit) {
  if (bytes.empty()) return 0;
  if (bytes[0] == 1) return Error(Code::kUnimplemented, "compressed messages are not taken here");
  if (bytes[0] != 0) return Error(Code::kInternal, "no gRPC message begins like this");
  if (bytes.size() < kGrpcPrefixBytes) return 0;
  size_t size = 0;
  for (size_t i = 1; i < kGrpcPrefixBytes; ++i)
    size = size << 8 | static_cast<unsigned char>(bytes[i]);
  if (size > limit)
    return Error(Code::kResourceExhausted,
                 fmt::format("the message has {} bytes: at most {} are taken", size, limit));
  return size + kGrpcPrefixBytes;
}

Status GrpcMessages::feed(std::string_view bytes, size_t limit, const Take& take) {
  // What comes whole is not copied.
  const bool holds = !held_.empty();
  if (holds) {
    held_ += bytes;
    bytes = held_;
  }
  while (true) {
    ASSIGN_OR_RETURN(const size_t size, size_of(bytes, limit));
    if (size == 0 || bytes.size() < size) break;
    RETURN_IF_ERROR(take(bytes.substr(kGrpcPrefixBytes, size - kGrpcPrefixBytes)));
    bytes.remove_prefix(size);
  }
  if (!holds)
    held_ = bytes;
  else if (bytes.empty())
    let_go(held_, 0);
  else
    held_.erase(0, held_.size() - bytes.size());
  return {};
}

}  // namespace frameworks
