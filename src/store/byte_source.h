// Bytes from somewhere, piece by piece.
#pragma once

#include <string>

#include "base/error.h"

namespace frameworks {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next bytes, as many as there are at hand; empty: that was all.
  virtual Result<std::string> read() = 0;
};

// Puts pieces together to what is asked for.
class ByteReader {
 public:
  explicit ByteReader(ByteSource& source) : source_(source) {}
  // Exactly `count` bytes; fewer, perhaps none, at the end.
  Result<std::string> take(size_t count) {
    while (buffer_.size() - at_ < count) {
      ASSIGN_OR_RETURN(const std::string more, source_.read());
      if (more.empty()) break;
      buffer_.erase(0, at_);
      at_ = 0;
      buffer_ += more;
    }
    std::string out = buffer_.substr(at_, count);
    at_ += out.size();
    return out;
  }

 private:
  ByteSource& source_;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace frameworks
