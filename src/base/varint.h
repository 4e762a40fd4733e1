// Numbers of seven bits a byte, the low ones first (protobuf's varint), and bytes after their size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace frameworks {

inline void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// The same as take_varint(), of any size; out of line, so that the other is in line.
[[gnu::noinline]] inline bool take_long_varint(std::string_view& bytes, uint64_t& out) {
  out = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    out |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Takes it off the front; false when it does not end.
inline bool take_varint(std::string_view& bytes, uint64_t& out) {
  // Most have one byte.
  if (bytes.empty() || static_cast<unsigned char>(bytes.front()) >= 0x80)
    return take_long_varint(bytes, out);
  out = static_cast<unsigned char>(bytes.front());
  bytes.remove_prefix(1);
  return true;
}

inline bool take_bytes(std::string_view& bytes, uint64_t size, std::string_view& out) {
  if (size > bytes.size()) return false;
  out = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return true;
}

}  // namespace frameworks
