// Pure: what gRPC puts into HTTP/2 (the document "gRPC over HTTP2" of the gRPC project): messages
// with a prefix of five bytes, timeouts, status messages.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace frameworks {

inline constexpr size_t kGrpcPrefixBytes = 5;

// The prefix of a message of so many bytes: not compressed, the length in network order.
void append_grpc_prefix(size_t message_bytes, std::string& out);

// "10S", "500m": up to eight digits and a unit (H M S m u n); what is longer than ten years is ten
// years. kInvalidArgument otherwise.
Result<Duration> parse_grpc_timeout(std::string_view text);

// A status message as a header's value: what is not printable ASCII, and "%", as "%XX".
std::string grpc_percent_encode(std::string_view text);

// Messages out of the bytes of a stream, however those are cut.
class GrpcMessages {
 public:
  using Take = std::function<Status(std::string_view message)>;
  // Calls `take` with each message that is whole, until it fails. kResourceExhausted for a message
  // of more than `limit` bytes, kUnimplemented for a compressed one, kInternal for a prefix that
  // is none. After an error it must not be fed again.
  Status feed(std::string_view bytes, size_t limit, const Take& take);
  // Bytes of a message that is not whole yet.
  [[nodiscard]] size_t held() const { return held_.size(); }

 private:
  // How many bytes the message at the front has with its prefix; 0: too few to tell.
  static Result<size_t> size_of(std::string_view bytes, size_t limit);
  std::string held_;
};

}  // namespace frameworks
