#include "client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>

#include "base/error.h"

namespace frameworks::bench {
namespace {

[[noreturn]] void fail(const std::string& what) {
  fmt::print(stderr, "bench: {}\n", what);
  std::exit(1);
}

// Frame types and flags of RFC 9113.
constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7,
                  kWindowUpdate = 8;
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;
constexpr size_t kHead = 9;

std::string number(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

uint32_t read_number(std::string_view text, size_t at, int bytes) {
  uint32_t out = 0;
  for (int i = 0; i < bytes; ++i)
    out = out << 8 | static_cast<uint8_t>(text[at + static_cast<size_t>(i)]);
  return out;
}

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = number(payload.size(), 3);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += number(stream, 4);
  return out.append(payload);
}

// Header fields as literals without indexing (RFC 7541, 6.2.2): no state between requests.
std::string text_of(std::string_view text) {
  std::string out;
  if (text.size() < 127) {
    out += static_cast<char>(text.size());
  } else {
    out += '\x7f';
    size_t rest = text.size() - 127;
    for (; rest >= 128; rest /= 128) out += static_cast<char>(rest % 128 + 128);
    out += static_cast<char>(rest);
  }
  return out.append(text);
}

std::string field(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  return out.append(text_of(name)).append(text_of(value));
}

std::string grpc_message(std::string_view message) {
  return std::string(1, '\0').append(number(message.size(), 4)).append(message);
}

}  // namespace

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  CHECK(epoll_.valid());
  std::signal(SIGPIPE, SIG_IGN);  // a connection that broke says so itself
}

void Loop::add(int fd, Handler& handler) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
  event.data.ptr = &handler;
  CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

void Loop::turn(std::chrono::milliseconds patience) {
  std::array<epoll_event, 512> events{};
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                               static_cast<int>(patience.count()));
  for (int i = 0; i < count; ++i)
    static_cast<Handler*>(events[static_cast<size_t>(i)].data.ptr)->on_ready();
}

ClientTls::ClientTls(const std::string& key_pem) : context_(SSL_CTX_new(TLS_client_method())) {
  CHECK(context_ != nullptr);
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
  const unsigned char protocols[] = {2, 'h', '2'};
  CHECK(SSL_CTX_set_alpn_protos(context_, protocols, sizeof protocols) == 0);
  if (key_pem.empty()) return;
  BIO* key = BIO_new_mem_buf(key_pem.data(), -1);
  key_ = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
  BIO_free(key);
  CHECK(key_ != nullptr);
}

ClientTls::~ClientTls() {
  EVP_PKEY_free(key_);
  SSL_CTX_free(context_);
}

SSL* ClientTls::make(const std::string& certificate_pem) const {
  SSL* ssl = SSL_new(context_);
  CHECK(ssl != nullptr);
  if (certificate_pem.empty()) return ssl;
  BIO* bytes = BIO_new_mem_buf(certificate_pem.data(), -1);
  X509* certificate = PEM_read_bio_X509(bytes, nullptr, nullptr, nullptr);
  BIO_free(bytes);
  CHECK(certificate != nullptr);
  CHECK(SSL_use_certificate(ssl, certificate) == 1);
  CHECK(SSL_use_PrivateKey(ssl, key_) == 1);
  X509_free(certificate);
  return ssl;
}

Wire::Wire(Loop& loop, int port, const ClientTls* tls, const From& from)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  if (!fd_.valid()) fail(fmt::format("no more sockets ({}): raise ulimit -n", errno));
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (!from.address.empty()) {
    setsockopt(fd_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    CHECK(inet_pton(AF_INET, from.address.c_str(), &address.sin_addr) == 1);
    CHECK(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int begun = connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (begun != 0 && errno != EINPROGRESS) fail(fmt::format("connect: {}", errno));
  if (tls != nullptr) {
    ssl_ = tls->make(from.certificate);
    SSL_set_fd(ssl_, fd_.get());
    SSL_set_connect_state(ssl_);
    SSL_set_tlsext_host_name(ssl_, "quartermaster");
  }
  loop.add(fd_.get(), *this);
}

Wire::~Wire() { SSL_free(ssl_); }

void Wire::on_end() { fail("the server ended a connection"); }

void Wire::send(std::string_view bytes) {
  out_ += bytes;
  if (connected_) flush();
}

void Wire::flush() {
  while (sent_ < out_.size()) {
    const std::string_view rest = std::string_view(out_).substr(sent_);
    ssize_t count = 0;
    if (ssl_ != nullptr) {
      count = SSL_write(ssl_, rest.data(), static_cast<int>(rest.size()));
      if (count <= 0) {
        const int why = SSL_get_error(ssl_, static_cast<int>(count));
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
        return on_end();
      }
    } else {
      count = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (count < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
      if (count <= 0) return on_end();
    }
    sent_ += static_cast<size_t>(count);
  }
  out_.clear();
  sent_ = 0;
}

// False when nothing more is there.
bool Wire::read_some() {
  static std::vector<char> buffer(256 << 10);
  ssize_t count = 0;
  if (ssl_ != nullptr) {
    count = SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()));
    if (count <= 0) {
      const int why = SSL_get_error(ssl_, static_cast<int>(count));
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) on_end();
      ERR_clear_error();
      return false;
    }
  } else {
    count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EAGAIN) return false;
    if (count <= 0) return on_end(), false;
  }
  on_bytes({buffer.data(), static_cast<size_t>(count)});
  return ssl_ != nullptr || static_cast<size_t>(count) == buffer.size();
}

void Wire::on_ready() {
  connected_ = true;
  flush();
  while (read_some()) {
  }
  flush();
}

void HttpClient::on_bytes(std::string_view bytes) {
  if (size_ == 0) {
    first_ += bytes;
    const size_t head = first_.find("\r\n\r\n");
    if (head == std::string::npos) return;
    if (!first_.starts_with("HTTP/1.1 200")) fail("answered: " + first_.substr(0, head));
    const size_t at = first_.find("ontent-Length: ");
    CHECK(at != std::string::npos);
    body_ = static_cast<size_t>(std::atoi(first_.c_str() + at + 15));
    size_ = head + 4 + body_;
    bytes = std::string_view(first_);
    missing_ = size_;
  }
  while (!bytes.empty()) {
    if (missing_ == size_ && bytes.size() >= 12 && !bytes.starts_with("HTTP/1.1 200"))
      fail("answered: " + std::string(bytes.substr(0, 200)));
    const size_t used = std::min(bytes.size(), missing_);
    missing_ -= used;
    bytes.remove_prefix(used);
    if (missing_ > 0) return;
    missing_ = size_;
    done_();
  }
}

GrpcClient::GrpcClient(Loop& loop, int port, const ClientTls* tls, Events events, const From& from)
    : Wire(loop, port, tls, from), events_(std::move(events)), secure_(tls != nullptr) {
  constexpr uint32_t kLarge = 1U << 30;
  std::string settings = number(1, 2) + number(0, 4);     // no dynamic table
  settings += number(4, 2) + number(kLarge, 4);           // window of a stream
  send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, settings) +
       frame(kWindowUpdate, 0, 0, number(kLarge, 4)));
}

uint32_t GrpcClient::call(const std::string& path, const std::string& token,
                          std::string_view message, Side side) {
  const uint32_t stream = next_;
  next_ += 2;
  std::string fields = "\x83";  // :method POST
  fields += secure_ ? '\x87' : '\x86';  // :scheme https, or http
  fields += field(":path", path) + field(":authority", "quartermaster") + field("te", "trailers") +
            field("content-type", "application/grpc");
  if (!token.empty()) fields += field("authorization", "Bearer " + token);
  streams_.try_emplace(stream);
  send(frame(kHeaders, kEndHeaders, stream, fields));
  send_data(stream, message, side == Side::kEnds ? kEndStream : 0);
  return stream;
}

void GrpcClient::send_message(uint32_t stream, std::string_view message) {
  send_data(stream, message, 0);
}

void GrpcClient::send_data(uint32_t stream, std::string_view message, uint8_t flags) {
  const std::string bytes = frame(kData, flags, stream, grpc_message(message));
  waiting_ += bytes;
  waiting_sizes_.emplace_back(bytes.size(), bytes.size() - kHead);
  flush_waiting();
}

void GrpcClient::flush_waiting() {
  size_t used = 0;
  size_t count = 0;
  for (const auto& [bytes, payload] : waiting_sizes_) {
    if (static_cast<int64_t>(payload) > window_) break;
    window_ -= static_cast<int64_t>(payload);
    used += bytes;
    ++count;
  }
  if (count == 0) return;
  send(std::string_view(waiting_).substr(0, used));
  waiting_.erase(0, used);
  waiting_sizes_.erase(waiting_sizes_.begin(),
                       waiting_sizes_.begin() + static_cast<std::ptrdiff_t>(count));
}

void GrpcClient::on_bytes(std::string_view bytes) {
  const bool kept = !in_.empty();
  if (kept) in_ += bytes;
  std::string_view all = kept ? std::string_view(in_) : bytes;
  size_t used = 0;
  while (all.size() - used >= kHead) {
    const size_t size = read_number(all, used, 3);
    if (all.size() - used < kHead + size) break;
    on_frame(static_cast<uint8_t>(all[used + 3]), static_cast<uint8_t>(all[used + 4]),
             read_number(all, used + 5, 4) & 0x7fffffff, all.substr(used + kHead, size));
    used += kHead + size;
  }
  std::string rest(all.substr(used));
  in_ = std::move(rest);
}

void GrpcClient::on_frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  switch (type) {
    case kData:
      on_data(stream, payload);
      break;
    case kSettings:
      if ((flags & kAck) == 0) send(frame(kSettings, kAck, 0, {}));
      return;
    case kPing:
      if ((flags & kAck) == 0) send(frame(kPing, kAck, 0, payload));
      return;
    case kWindowUpdate:
      if (stream == 0) window_ += read_number(payload, 0, 4);
      return flush_waiting();
    case kReset:
      return end(stream);
    case kGoAway:
      fail("the server sends its clients away");
    default:
      break;
  }
  if ((type == kData || type == kHeaders) && (flags & kEndStream) != 0) end(stream);
}

void GrpcClient::on_data(uint32_t stream, std::string_view payload) {
  constexpr int64_t kGiveBack = 64 << 20;
  received_ += static_cast<int64_t>(payload.size());
  if (received_ >= kGiveBack) {
    send(frame(kWindowUpdate, 0, 0, number(static_cast<uint64_t>(received_), 4)));
    received_ = 0;
  }
  const auto at = streams_.find(stream);
  if (at == streams_.end()) return;
  Stream& it = at->second;
  const bool kept = !it.part.empty();
  if (kept) it.part += payload;
  std::string_view all = kept ? std::string_view(it.part) : payload;
  size_t used = 0;
  while (all.size() - used >= 5) {
    const size_t size = read_number(all, used + 1, 4);
    if (all.size() - used < 5 + size) break;
    ++it.answers;
    if (events_.message) events_.message(stream, all.substr(used + 5, size));
    used += 5 + size;
  }
  std::string rest(all.substr(used));
  it.part = std::move(rest);
}

void GrpcClient::end(uint32_t stream) {
  const auto at = streams_.find(stream);
  if (at == streams_.end()) return;
  const uint64_t answers = at->second.answers;
  streams_.erase(at);
  if (events_.end) events_.end(stream, answers);
}

void Histogram::add(std::chrono::nanoseconds took) {
  const double micros = std::max(1.0, static_cast<double>(took.count()) / 1e3);
  const auto place = static_cast<size_t>(std::log2(micros) * kSteps);
  ++buckets_[std::min(place, buckets_.size() - 1)];
  ++count_;
}

double Histogram::quantile(double share) const {
  const auto wanted = static_cast<uint64_t>(share * static_cast<double>(count_));
  uint64_t sum = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    sum += buckets_[i];
    if (sum > wanted) return std::exp2((static_cast<double>(i) + 0.5) / kSteps);
  }
  return 0;
}

}  // namespace frameworks::bench
