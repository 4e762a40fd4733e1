// How much was sent of each tenant's streams as files, as with HLS: nginx tells of each request in
// a datagram to loopback (`access_log syslog:`, RFC 3164), here with the format
// "$status $bytes_sent $uri":
//
//   <190>Nov 30 10:00:00 hls: 200 100244 /hls/acme+show-1.ts
//
// Datagrams that come faster than they are read are lost, and count nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace frameworks {

struct SentFile {
  std::string tenant;
  int64_t bytes = 0;  // headers included
};
// Nothing: the datagram is none of these, the answer was an error, or the file is not one of a
// stream TENANT+STREAM.
std::optional<SentFile> parse_sent_file(std::string_view datagram);

class MediaLog {
 public:
  // `listen` is "address:port" (port 0: any). kUnavailable when it is taken. Reads on a thread of
  // its own.
  static Result<std::unique_ptr<MediaLog>> start(const std::string& listen);
  virtual ~MediaLog() = default;  // stops and joins
  // Bytes by tenant since it was asked last. Threadsafe.
  virtual std::map<std::string, int64_t> take() = 0;
  [[nodiscard]] virtual int port() const = 0;
};

}  // namespace frameworks
