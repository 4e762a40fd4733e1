#include "agent/probe.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>

#include "agent/command_probe.h"
#include "agent/grpc_probe.h"
#include "base/error.h"
#include "base/ip.h"

namespace frameworks {
namespace {

constexpr std::chrono::seconds kDefaultTimeout{1};
// The status line is all that counts.
constexpr size_t kMaxAnswer = 4096;

struct Target {
  std::string text;
  IpAddress address;
  uint16_t port = 0;
};

Result<Target> parse_target(const std::string& text) {
  const Error bad(Code::kInvalidArgument, fmt::format("target \"{}\": not address:port", text));
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return bad;
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  auto address = IpAddress::parse(host);
  Target out{.text = text, .address = {}, .port = 0};
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data() + colon + 1, end, out.port);
  if (!address || failed != std::errc{} || stop != end || out.port == 0) return bad;
  out.address = *address;
  return out;
}

int connect_to(int fd, const Target& target) {
  if (target.address.is_v4()) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(target.port);
    std::memcpy(&to.sin_addr, target.address.bytes().data(), 4);
    return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(target.port);
  std::memcpy(&to.sin6_addr, target.address.bytes().data(), 16);
  return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

Duration timeout_of(const pb::InstanceChecks::Probe& probe) {
  const Duration given = std::chrono::seconds(probe.timeout().seconds()) +
                         std::chrono::nanoseconds(probe.timeout().nanos());
  return given > Duration::zero() ? given : kDefaultTimeout;
}

class NetworkAttempt final : public ProbeAttempt {
 public:
  NetworkAttempt(const pb::InstanceChecks::Probe& probe, MonoTime now)
      : probe_(probe), deadline_(now + timeout_of(probe)) {
    const auto target = parse_target(probe.target());
    if (!target) {
      done_ = {false, target.error().message()};
      return;
    }
    fd_ = Fd(socket(target->address.is_v4() ? AF_INET : AF_INET6,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.valid()) {
      done_ = {false, errno_error("socket").message()};
    } else if (connect_to(fd_.get(), *target) == 0) {
      connected();
    } else if (errno != EINPROGRESS) {
      fail_to_connect(errno);
    }
  }

  [[nodiscard]] pollfd wants() const override {
    if (done_) return {-1, 0, 0};
    return {fd_.get(), static_cast<short>(phase_ == Phase::kReading ? POLLIN : POLLOUT), 0};
  }

  std::optional<ProbeOutcome> step(MonoTime now) override {
    if (!done_ && phase_ == Phase::kConnecting) finish_connecting();
    if (!done_ && phase_ == Phase::kWriting) write_request();
    if (!done_ && phase_ == Phase::kReading) read_answer();
    if (!done_ && now >= deadline_)
      done_ = {false, fmt::format("{}: no {} in time", probe_.target(),
                                  phase_ == Phase::kConnecting ? "connection" : "answer")};
    return done_;
  }

  [[nodiscard]] MonoTime deadline() const override { return deadline_; }

 private:
  enum class Phase { kConnecting, kWriting, kReading };

  void fail_to_connect(int error) {
    done_ = {false, fmt::format("connect {}: {}", probe_.target(), strerror(error))};
  }

  void connected() {
    if (probe_.type() != pb::CHECK_TYPE_HTTP) {
      done_ = {true, fmt::format("{} accepts connections", probe_.target())};
      return;
    }
    // HTTP/1.0 and Connection: close, so that the end of the answer needs no further parsing.
    pending_ = fmt::format(
        "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: frameworks-agent\r\nConnection: close\r\n\r\n",
        probe_.path().empty() ? "/" : probe_.path(), probe_.target());
    phase_ = Phase::kWriting;
  }

  void finish_connecting() {
    pollfd state{fd_.get(), POLLOUT, 0};
    if (poll(&state, 1, 0) <= 0) return;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail_to_connect(error);
    connected();
  }

  void write_request() {
    const ssize_t n = send(fd_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      done_ = {false, fmt::format("GET {}: {}", probe_.target(), strerror(errno))};
      return;
    }
    if (n > 0) pending_.erase(0, static_cast<size_t>(n));
    if (pending_.empty()) phase_ = Phase::kReading;
  }

  void read_answer() {
    char buffer[1024];
    const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) answer_.append(buffer, static_cast<size_t>(n));
    if (n <= 0 || answer_.find('\n') != std::string::npos || answer_.size() > kMaxAnswer) judge();
  }

  // "HTTP/1.1 200 OK"
  void judge() {
    int status = 0;
    const size_t blank = answer_.find(' ');
    if (answer_.starts_with("HTTP/1.") && blank != std::string::npos)
      std::from_chars(answer_.data() + blank + 1, answer_.data() + answer_.size(), status);
    const std::string where = fmt::format("GET {}{}", probe_.target(), probe_.path());
    if (status == 0)
      done_ = {false, where + ": no HTTP answer"};
    else
      done_ = {status < 400, fmt::format("{}: status {}", where, status)};
  }

  pb::InstanceChecks::Probe probe_;
  MonoTime deadline_;
  Fd fd_;
  Phase phase_ = Phase::kConnecting;
  std::string pending_;
  std::string answer_;
  std::optional<ProbeOutcome> done_;
};

class NetworkProber final : public Prober {
 public:
  std::unique_ptr<ProbeAttempt> start(const pb::InstanceChecks::Probe& probe,
                                      MonoTime now) override {
    const MonoTime deadline = now + timeout_of(probe);
    if (probe.type() == pb::CHECK_TYPE_COMMAND) return start_command(probe, deadline);
    if (probe.type() == pb::CHECK_TYPE_GRPC) return start_grpc_check(probe, deadline);
    return std::make_unique<NetworkAttempt>(probe, now);
  }
};

class SimulatedAttempt final : public ProbeAttempt {
 public:
  explicit SimulatedAttempt(MonoTime now) : now_(now) {}
  [[nodiscard]] pollfd wants() const override { return {-1, 0, 0}; }
  std::optional<ProbeOutcome> step(MonoTime) override { return ProbeOutcome{true, "simulated"}; }
  [[nodiscard]] MonoTime deadline() const override { return now_; }

 private:
  MonoTime now_;
};

class SimulatedProber final : public Prober {
 public:
  std::unique_ptr<ProbeAttempt> start(const pb::InstanceChecks::Probe&, MonoTime now) override {
    return std::make_unique<SimulatedAttempt>(now);
  }
};

}  // namespace

std::unique_ptr<Prober> make_network_prober() { return std::make_unique<NetworkProber>(); }
std::unique_ptr<Prober> make_simulated_prober() { return std::make_unique<SimulatedProber>(); }

}  // namespace frameworks
