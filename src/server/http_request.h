// HTTP/1.1 requests as bytes (RFC 9112): the head, and bodies by length or in chunks. Pure,
// bounded, strict: what two readers could understand differently is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace frameworks {

struct HttpHeader {
  std::string_view name;
  std::string_view value;
};

// Views point into the bytes that were read, those of headers perhaps into its own.
//
// Used for one request after the other it remembers the header lines: clients send the same ones
// again and again, and then only the request line is read.
class HttpHead {
 public:
  static constexpr size_t kMaxHeaders = 64;
  HttpHead() = default;
  HttpHead(const HttpHead&) = delete;
  HttpHead& operator=(const HttpHead&) = delete;

  std::string_view method;
  std::string_view target;
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  uint64_t content_length = 0;
  size_t size = 0;  // in bytes, with the empty line that ends it

  [[nodiscard]] std::span<const HttpHeader> headers() const { return headers_; }
  // Of the first header of this name, which is given in lower case; empty when there is none.
  [[nodiscard]] std::string_view find(std::string_view lower_name) const;

 private:
  friend class HeadReader;
  std::vector<HttpHeader> headers_;
  // The header lines and the empty one that were read last, and of which version; empty: unknown.
  std::string lines_;
  bool is_old_ = false;  // HTTP/1.0
};

struct HttpReading {
  enum class State { kMore, kDone, kRefused };
  State state = State::kMore;
  int status = 0;        // of a refusal: 400, 431, 501 or 505
  const char* why = "";  // of a refusal, one clause
};

// Reads the head at the beginning of `bytes`, of at most `limit` bytes. `searched` is how far an
// earlier call looked for its end: 0 at first. `out` is new, or that of an earlier request.
HttpReading read_http_head(std::string_view bytes, size_t limit, size_t& searched, HttpHead& out);

// A chunked body, in whatever pieces it arrives.
class ChunkedBody {
 public:
  // Appends what `bytes` holds of the body and tells in `taken` how many of them belong to it.
  // kRefused with 400, or with 413 past `limit` bytes of body.
  HttpReading feed(std::string_view bytes, size_t limit, std::string& body, size_t& taken);

 private:
  enum class At {
    kSize,
    kExtension,
    kSizeEnd,
    kData,
    kDataEnd,
    kDataLf,
    kTrailer,
    kTrailerLf,
    kEnd
  };
  HttpReading step(char c);
  HttpReading end_of_size();

  At at_ = At::kSize;
  uint64_t left_ = 0;    // of the chunk
  size_t digits_ = 0;    // of the size
  size_t overhead_ = 0;  // bytes of extensions and trailers
  size_t line_ = 0;      // length of the trailer's line
};

// Whether `text` equals `lower`, which is in lower case, but for case.
bool same_token(std::string_view text, std::string_view lower);

}  // namespace frameworks
