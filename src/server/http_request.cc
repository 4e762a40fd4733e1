#include "server/http_request.h"

#include <algorithm>
#include <charconv>

namespace frameworks {
namespace {

using State = HttpReading::State;

constexpr size_t kMaxOverhead = 4096;
// Of header lines that are remembered.
constexpr size_t kMaxLines = 1024;

HttpReading refuse(int status, const char* why) { return {State::kRefused, status, why}; }
HttpReading done() { return {State::kDone, 0, ""}; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// RFC 9110, 5.6.2.
constexpr auto kTokenCharacters = [] {
  std::array<bool, 256> out{};
  for (int c = '0'; c <= '9'; ++c) out[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) out[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) out[static_cast<size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) out[static_cast<size_t>(c)] = true;
  return out;
}();

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return kTokenCharacters[static_cast<unsigned char>(c)];
  });
}

// Visible characters of ASCII; what else belongs into a target is percent-encoded.
bool is_target(std::string_view text) {
  return !text.empty() && text.front() == '/' &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether a list such as "keep-alive, upgrade" has the token.
bool lists(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (same_token(without_blanks(list.substr(0, comma)), token)) return true;
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return false;
}

}  // namespace

bool same_token(std::string_view text, std::string_view lower_text) {
  return text.size() == lower_text.size() &&
         std::equal(text.begin(), text.end(), lower_text.begin(),
                    [](char a, char b) { return lower(a) == b; });
}

std::string_view HttpHead::find(std::string_view lower_name) const {
  for (const HttpHeader& header : headers())
    if (same_token(header.name, lower_name)) return header.value;
  return {};
}

// Reads the lines of one complete head.
class HeadReader {
 public:
  explicit HeadReader(HttpHead& out) : out_(out) {}

  // The request line `line`, and `rest` begins with the header lines of the request before: what
  // they mean is known.
  bool again(std::string_view line, std::string_view rest) {
    if (out_.lines_.empty() || !rest.starts_with(out_.lines_)) return false;
    const bool kept_alive = out_.keep_alive;
    if (request_line(line).state != State::kDone || old_ != out_.is_old_) return false;
    out_.keep_alive = kept_alive;
    return true;
  }

  // All of a head, `lines` with the empty one.
  HttpReading whole(std::string_view line, std::string_view lines) {
    out_.headers_.clear();
    out_.lines_.clear();
    out_.expects_continue = out_.chunked = false;
    out_.content_length = 0;
    HttpReading reading = request_line(line);
    if (reading.state != State::kDone) return reading;
    if (lines.size() <= kMaxLines) lines = out_.lines_ = lines;
    lines.remove_suffix(2);
    while (reading.state == State::kDone && !lines.empty()) {
      const size_t end = lines.find("\r\n");
      reading = header(lines.substr(0, end));
      lines.remove_prefix(end + 2);
    }
    if (reading.state == State::kDone) reading = end();
    if (reading.state != State::kDone) out_.lines_.clear();
    out_.is_old_ = old_;
    return reading;
  }
  [[nodiscard]] size_t lines_size() const { return out_.lines_.size(); }

 private:
  HttpReading request_line(std::string_view line) {
    const size_t first = line.find(' ');
    const size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
      return refuse(400, "the request line is not \"METHOD TARGET HTTP/1.1\"");
    out_.method = line.substr(0, first);
    out_.target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(out_.method)) return refuse(400, "the method is no token");
    if (version == "HTTP/1.1") {
      out_.keep_alive = true;
    } else if (version == "HTTP/1.0") {
      out_.keep_alive = false;
      old_ = true;
    } else if (version.starts_with("HTTP/")) {
      return refuse(505, "only HTTP/1.1 is spoken here");
    } else {
      return refuse(400, "the request line does not end with HTTP/1.1");
    }
    if (out_.target == "*") return done();  // of OPTIONS
    // "http://host/path", as proxies are asked.
    const size_t scheme = out_.target.find("://");
    if (!out_.target.starts_with('/') && scheme != std::string_view::npos) {
      const size_t path = out_.target.find('/', scheme + 3);
      out_.target =
          path == std::string_view::npos ? std::string_view("/") : out_.target.substr(path);
    }
    return is_target(out_.target) ? done() : refuse(400, "the target is no path");
  }

  HttpReading header(std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
      return refuse(400, "a header is not \"Name: value\"");
    const HttpHeader header{line.substr(0, colon), without_blanks(line.substr(colon + 1))};
    if (!is_value(header.value)) return refuse(400, "a header's value has control characters");
    if (out_.headers_.size() == HttpHead::kMaxHeaders) return refuse(431, "too many headers");
    out_.headers_.push_back(header);
    return meaning(header);
  }

  HttpReading end() const {
    if (hosts_ > 1 || (hosts_ == 0 && !old_)) return refuse(400, "exactly one Host is wanted");
    if (lengths_ > 0 && out_.chunked) return refuse(400, "a length and chunks at once");
    return done();
  }

  // What the transport itself must understand.
  HttpReading meaning(const HttpHeader& header) {
    switch (header.name.size()) {
      case 4:
        if (same_token(header.name, "host")) ++hosts_;
        break;
      case 6:
        if (same_token(header.name, "expect"))
          out_.expects_continue = same_token(header.value, "100-continue");
        break;
      case 10:
        if (same_token(header.name, "connection")) {
          if (lists(header.value, "close")) out_.keep_alive = false;
          if (old_ && lists(header.value, "keep-alive")) out_.keep_alive = true;
        }
        break;
      case 14:
        if (same_token(header.name, "content-length")) return length(header.value);
        break;
      case 17:
        if (same_token(header.name, "transfer-encoding")) {
          if (!same_token(header.value, "chunked") || out_.chunked || old_)
            return refuse(501, "the only transfer coding is chunked");
          out_.chunked = true;
        }
        break;
      default:
        break;
    }
    return done();
  }

  HttpReading length(std::string_view value) {
    const auto [at, error] =
        std::from_chars(value.data(), value.data() + value.size(), out_.content_length);
    if (error != std::errc() || at != value.data() + value.size() || value.empty() ||
        value.front() == '-' || ++lengths_ > 1)
      return refuse(400, "Content-Length is no number, or given twice");
    return done();
  }

  HttpHead& out_;
  bool old_ = false;  // HTTP/1.0
  int hosts_ = 0;
  int lengths_ = 0;
};

HttpReading read_http_head(std::string_view bytes, size_t limit, size_t& searched, HttpHead& out) {
  // Empty lines before a request are forgiven (RFC 9112, 2.2), a few of them.
  size_t begin = 0;
  while (begin < 8 && bytes.substr(begin).starts_with("\r\n")) begin += 2;
  HeadReader reader(out);
  if (searched == 0) {
    const std::string_view all = bytes.substr(0, limit);
    const size_t line_end = all.find("\r\n", begin);
    if (line_end != std::string_view::npos &&
        reader.again(all.substr(begin, line_end - begin), all.substr(line_end + 2))) {
      out.size = line_end + 2 + reader.lines_size();
      return done();
    }
  }
  const size_t from = std::max(begin, searched);
  const size_t end = bytes.substr(0, limit).find("\r\n\r\n", from);
  if (end == std::string_view::npos) {
    if (bytes.size() >= limit) return refuse(431, "the request's head is too large");
    searched = bytes.size() > begin + 3 ? bytes.size() - 3 : 0;
    return {};
  }
  out.size = end + 4;
  const std::string_view head = bytes.substr(begin, out.size - begin);
  const size_t line_end = head.find("\r\n");
  return HeadReader(out).whole(head.substr(0, line_end), head.substr(line_end + 2));
}

HttpReading ChunkedBody::end_of_size() {
  if (digits_ == 0) return refuse(400, "a chunk has no size");
  digits_ = 0;
  at_ = left_ == 0 ? At::kTrailer : At::kData;
  line_ = 0;
  return {};
}

HttpReading ChunkedBody::step(char c) {
  if (++overhead_ > kMaxOverhead && at_ != At::kData)
    return refuse(400, "too much beside the chunks");
  switch (at_) {
    case At::kSize: {
      const char l = lower(c);
      const int digit = l >= '0' && l <= '9' ? l - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
      if (digit >= 0) {
        if (++digits_ > 15) return refuse(400, "a chunk's size has too many digits");
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        return {};
      }
      if (c == ';') return at_ = At::kExtension, HttpReading{};
      if (c == '\r') return at_ = At::kSizeEnd, HttpReading{};
      return refuse(400, "a chunk's size is no hexadecimal number");
    }
    case At::kExtension:
      if (c == '\r') at_ = At::kSizeEnd;
      return c == '\n' ? refuse(400, "a chunk's extension has a bare line feed") : HttpReading{};
    case At::kSizeEnd:
      return c == '\n' ? end_of_size() : refuse(400, "a chunk's size does not end its line");
    case At::kDataEnd:
      at_ = At::kDataLf;
      return c == '\r' ? HttpReading{} : refuse(400, "a chunk is longer than its size");
    case At::kDataLf:
      at_ = At::kSize;
      overhead_ = 0;
      return c == '\n' ? HttpReading{} : refuse(400, "a chunk is longer than its size");
    case At::kTrailer:
      if (c == '\r') return at_ = At::kTrailerLf, HttpReading{};
      ++line_;
      return c == '\n' ? refuse(400, "a trailer has a bare line feed") : HttpReading{};
    case At::kTrailerLf:
      if (c != '\n') return refuse(400, "a trailer has a bare carriage return");
      at_ = line_ == 0 ? At::kEnd : At::kTrailer;
      line_ = 0;
      return at_ == At::kEnd ? done() : HttpReading{};
    case At::kData:
    case At::kEnd:
      break;
  }
  return {};
}

HttpReading ChunkedBody::feed(std::string_view bytes, size_t limit, std::string& body,
                              size_t& taken) {
  for (taken = 0; taken < bytes.size() && at_ != At::kEnd;) {
    if (at_ == At::kData) {
      const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - taken));
      if (body.size() + left_ > limit) return refuse(413, "the request's body is too large");
      body.append(bytes.substr(taken, count));
      taken += count;
      left_ -= count;
      if (left_ == 0) at_ = At::kDataEnd;
      continue;
    }
    const HttpReading reading = step(bytes[taken++]);
    if (reading.state != State::kMore) return reading;
  }
  return at_ == At::kEnd ? done() : HttpReading{};
}

}  // namespace frameworks
