// Encodings and small helpers for text.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace frameworks {

std::string hex_encode(std::string_view bytes);
Result<std::string> hex_decode(std::string_view text);
std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);
// SHA-256, 32 bytes.
std::string sha256(std::string_view bytes);
// SHA-256 as 64 hex digits.
std::string sha256_hex(std::string_view bytes);
// Compares in time that depends on the length only.
bool equal_secrets(std::string_view a, std::string_view b);
// From the system's generator.
std::string random_bytes(size_t count);
// A new RFC 9562 version 4 UUID.
std::string new_uuid();

std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);

// "2026-01-31T12:00:00.123Z"
std::string rfc3339(WallTime time);
// "350 ms", "3.1 s", "2 m 5 s", "3 h 2 m"
std::string human_duration(Duration duration);
// "500ms", "5s", "2m", "1h"; also "1.5s"
Result<Duration> parse_duration(std::string_view text);
// The shortest such text that parses to the same.
std::string format_duration(Duration duration);

}  // namespace frameworks
