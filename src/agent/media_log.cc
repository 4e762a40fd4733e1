#include "agent/media_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <charconv>
#include <thread>
#include <utility>

#include "agent/listen_address.h"
#include "base/locked.h"

namespace frameworks {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;

// nginx cuts a datagram off at 4096 bytes.
constexpr size_t kMaxDatagram = 4096;
// Room for some thousand requests while the thread has no turn.
constexpr int kReceiveBuffer = 1024 * 1024;
constexpr size_t kMaxTenantName = 63;
// Whoever sends more names than that on loopback is not the media server.
constexpr size_t kMaxTenants = 65'536;
// More than any file has: sums stay within 64 bits.
constexpr int64_t kMostBytes = 1'000'000'000'000;

}  // namespace

std::optional<SentFile> parse_sent_file(std::string_view datagram) {
  const size_t header = datagram.find(": ");
  if (header == std::string_view::npos) return {};
  const std::string_view text = datagram.substr(header + 2);
  // "200" or "206".
  if (text.size() < 4 || text[0] != '2' || text[3] != ' ') return {};
  int64_t bytes = 0;
  const auto number = std::from_chars(text.data() + 4, text.data() + text.size(), bytes);
  if (number.ec != std::errc() || bytes < 0 || bytes > kMostBytes) return {};
  std::string_view name = text.substr(static_cast<size_t>(number.ptr - text.data()));
  if (!name.starts_with(" /")) return {};
  name.remove_prefix(name.rfind('/') + 1);
  const size_t plus = name.find('+');
  if (plus == std::string_view::npos || plus == 0 || plus > kMaxTenantName) return {};
  return SentFile{std::string(name.substr(0, plus)), bytes};
}

namespace {

class UdpMediaLog final : public MediaLog {
 public:
  explicit UdpMediaLog(const udp::endpoint& at) : socket_(context_, at) {
    boost::system::error_code ignored;
    socket_.set_option(asio::socket_base::receive_buffer_size(kReceiveBuffer), ignored);
    receive();
    thread_ = std::jthread([this] { context_.run(); });
  }

  ~UdpMediaLog() override {
    context_.stop();
    thread_.join();
  }

  std::map<std::string, int64_t> take() override {
    return bytes_.with([](auto& present) { return std::exchange(present, {}); });
  }

  [[nodiscard]] int port() const override { return socket_.local_endpoint().port(); }

 private:
  void receive() {
    socket_.async_receive(asio::buffer(datagram_),
                          [this](boost::system::error_code error, size_t size) {
                            if (error == asio::error::operation_aborted) return;
                            if (!error) count({datagram_.data(), size});
                            receive();
                          });
  }

  void count(std::string_view datagram) {
    auto sent = parse_sent_file(datagram);
    if (!sent) return;
    bytes_.with([&](auto& present) {
      const auto known = present.find(sent->tenant);
      if (known != present.end())
        known->second = std::min(kMostBytes, known->second + sent->bytes);
      else if (present.size() < kMaxTenants)
        present.emplace(std::move(sent->tenant), sent->bytes);
    });
  }

  Locked<std::map<std::string, int64_t>> bytes_;
  asio::io_context context_{1};
  udp::socket socket_;
  std::array<char, kMaxDatagram> datagram_{};  // the one thread's own
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<MediaLog>> MediaLog::start(const std::string& listen) {
  try {
    return std::unique_ptr<MediaLog>(
        std::make_unique<UdpMediaLog>(listen_address<udp::endpoint>(listen)));
  } catch (const std::exception& failed) {
    return Error(Code::kUnavailable, fmt::format("listen on {} (UDP): {}", listen, failed.what()));
  }
}

}  // namespace frameworks
