#include "hostd/wan_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <random>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "hostd/names.h"
#include "hostd/namespaces.h"
#include "hostd/state.h"
#include "hostd/wan_emulator.h"

namespace frameworks::hostd {
namespace {

constexpr std::chrono::seconds kPatience{5};

Result<sockaddr_un> socket_address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.string().size() >= sizeof address.sun_path)
    return Error(
        Code::kInvalidArgument,
        fmt::format("{}: a socket's path has at most {} characters; choose a shorter --state",
                    path.string(), sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.c_str(), path.string().size());
  return address;
}

void set_patience(int socket) {
  const timeval patience{kPatience.count(), 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

Duration duration_of(const google::protobuf::Duration& value) {
  return std::chrono::seconds(value.seconds()) + std::chrono::nanoseconds(value.nanos());
}

std::vector<WanLink> links_of(const v1::EnsureFabricRequest& fabric) {
  std::vector<WanLink> out;
  for (const v1::RegionLink& link : fabric.links())
    out.push_back({link.region(), duration_of(link.delay()), duration_of(link.jitter()),
                   link.loss(), link.rate_mbps(), link.down()});
  return out;
}

// The daemon has made the TAP and put it on the region's bridge; here it is only opened.
Result<Fd> open_tap(const std::string& region) {
  Fd fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return errno_error("open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  tap_name(region).copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0)
    return errno_error(fmt::format("open tap {}", tap_name(region)));
  return fd;
}

class Wan {
 public:
  explicit Wan(StateDirectory state)
      : state_(std::move(state)), emulator_(std::random_device{}()) {}

  Status open_all() {
    ASSIGN_OR_RETURN(const auto host, state_.read_host());
    RETURN_IF_ERROR(enter_network_namespace(namespace_path(fabric_namespace(host.name()))));
    epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    timer_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, nullptr);
    signals_ = Fd(signalfd(-1, &term, SFD_CLOEXEC));
    if (!epoll_.valid() || !timer_.valid() || !signals_.valid())
      return errno_error("open event sources");
    RETURN_IF_ERROR(listen_on_socket());
    for (const int fd : {timer_.get(), signals_.get(), listener_.get()}) RETURN_IF_ERROR(watch(fd));
    return reload();
  }

  Status loop() {
    std::array<epoll_event, 32> events{};
    while (true) {
      const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      if (n < 0 && errno != EINTR) return errno_error("wait for events");
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == signals_.get()) return {};
        if (fd == listener_.get())
          answer();
        else if (fd != timer_.get())
          read_tap(fd);
      }
      deliver_due();
      arm_timer();
    }
  }

 private:
  Status watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("watch");
    return {};
  }

  Status listen_on_socket() {
    const auto path = state_.wan_socket();
    ASSIGN_OR_RETURN(const sockaddr_un address, socket_address(path));
    listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    unlink(path.c_str());
    umask(0177);
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_.get(), 16) != 0)
      return errno_error(fmt::format("listen on {}", path.string()));
    return {};
  }

  Status reload() {
    ASSIGN_OR_RETURN(const auto host, state_.read_host());
    const auto links = links_of(host.fabric());
    std::map<std::string, Fd> taps;
    for (const WanLink& link : links) {
      if (auto open = taps_.find(link.region); open != taps_.end()) {
        taps.emplace(link.region, std::move(open->second));
        continue;
      }
      ASSIGN_OR_RETURN(Fd tap, open_tap(link.region));
      RETURN_IF_ERROR(watch(tap.get()));
      taps.emplace(link.region, std::move(tap));
    }
    taps_ = std::move(taps);
    emulator_.configure(links);
    return {};
  }

  void answer() {
    const Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.valid()) return;
    set_patience(client.get());
    std::array<char, 64> buffer{};
    const ssize_t n = recv(client.get(), buffer.data(), buffer.size(), 0);
    std::string reply = "error: unknown request\n";
    if (n > 0 && trim({buffer.data(), static_cast<size_t>(n)}) == "reload") {
      const Status done = reload();
      reply = done ? "ok\n" : fmt::format("error: {}\n", done.error().message());
    }
    (void)!send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
  }

  void read_tap(int fd) {
    for (const auto& [region, tap] : taps_) {
      if (tap.get() != fd) continue;
      // A bounded number, so that one busy region does not keep the others waiting.
      for (int i = 0; i < 64; ++i) {
        const ssize_t n = read(fd, buffer_.data(), buffer_.size());
        if (n <= 0) return;
        emulator_.receive(region, {buffer_.data(), static_cast<size_t>(n)}, system_clock().mono());
      }
      return;
    }
  }

  void deliver_due() {
    while (const auto delivery = emulator_.take(system_clock().mono())) {
      const auto tap = taps_.find(delivery->region);
      // A full TAP loses the frame, as a network does.
      if (tap != taps_.end())
        (void)!write(tap->second.get(), delivery->frame.data(), delivery->frame.size());
    }
  }

  void arm_timer() {
    itimerspec when{};
    if (const auto due = emulator_.next_due()) {
      const auto since = std::max<int64_t>(1, Duration(due->time_since_epoch()).count());
      when.it_value.tv_sec = since / 1'000'000'000;
      when.it_value.tv_nsec = since % 1'000'000'000;
    }
    // Set anew each time, which also takes back an expiry that has not been read.
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }

  StateDirectory state_;
  WanEmulator emulator_;
  Fd epoll_;
  Fd timer_;
  Fd signals_;
  Fd listener_;
  std::map<std::string, Fd> taps_;
  std::array<uint8_t, 65536> buffer_{};
};

}  // namespace

Status run_wan(const std::filesystem::path& state) {
  auto wan = std::make_unique<Wan>(StateDirectory(state));
  RETURN_IF_ERROR(wan->open_all());
  spdlog::info("wan emulator runs");
  return wan->loop();
}

Status reload_wan(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, socket_address(path));
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  set_patience(fd.get());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Error(Code::kUnavailable,
                 fmt::format("wan emulator: connect {}: {}", path.string(), std::strerror(errno)));
  constexpr std::string_view kRequest = "reload\n";
  std::array<char, 512> reply{};
  if (send(fd.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0)
    return errno_error("wan emulator: send");
  const ssize_t n = recv(fd.get(), reply.data(), reply.size(), 0);
  if (n <= 0) return Error(Code::kUnavailable, "wan emulator does not answer");
  const std::string_view text = trim({reply.data(), static_cast<size_t>(n)});
  if (text != "ok") return Error(Code::kInternal, fmt::format("wan emulator: {}", text));
  return {};
}

}  // namespace frameworks::hostd
