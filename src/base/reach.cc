#include "base/reach.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/ip.h"
#include "base/locked.h"

namespace frameworks {
namespace {

constexpr size_t kTargets = 8;
constexpr size_t kLooks = 256;
constexpr Duration kLongest = std::chrono::seconds(10);
constexpr int kIdleMs = 60'000;

struct Target {
  IpAddress address;
  uint16_t port = 0;
};

// "10.0.0.1:22", "[::1]:22"
std::optional<Target> parse_target(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  Target out{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data() + colon + 1, last, out.port);
  if (!address || error != std::errc() || end != last || out.port == 0) return {};
  out.address = *address;
  return out;
}

// 0 when connected at once, else errno.
int begin_to_connect(int fd, const Target& target) {
  const IpAddress& address = target.address;
  int done = 0;
  if (address.is_v4()) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(target.port);
    std::memcpy(&to.sin_addr, address.bytes().data(), 4);
    done = connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(target.port);
    std::memcpy(&to.sin6_addr, address.bytes().data(), 16);
    done = connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  return done == 0 ? 0 : errno;
}

// One machine that is looked for.
class Look {
 public:
  Look(const std::vector<std::string>& targets, MonoTime deadline, ReachDesk::Done done)
      : deadline_(deadline), done_(std::move(done)) {
    for (size_t i = 0; i < std::min(targets.size(), kTargets) && !found_; ++i) add(targets[i]);
  }

  [[nodiscard]] MonoTime deadline() const { return deadline_; }
  void add_to(std::vector<pollfd>& fds) const {
    for (const Attempt& attempt : attempts_) fds.push_back({attempt.fd.get(), POLLOUT, 0});
  }

  // True when it is over, and was told.
  bool step(MonoTime now) {
    for (auto at = attempts_.begin(); at != attempts_.end() && !found_;) {
      pollfd state{at->fd.get(), POLLOUT, 0};
      if (poll(&state, 1, 0) <= 0) {
        ++at;
        continue;
      }
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(at->fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      take(at->target, error);
      at = attempts_.erase(at);
    }
    if (!found_ && !attempts_.empty() && now < deadline_) return false;
    if (found_)
      done_({true, *found_});
    else
      done_({false,
             tried_.empty() ? "there is no address to look at" : "nothing answers at " + tried_});
    return true;
  }

 private:
  struct Attempt {
    Fd fd;
    std::string target;
  };

  void add(const std::string& target) {
    const auto at = parse_target(target);
    if (!at) return;
    tried_ += (tried_.empty() ? "" : ", ") + target;
    Fd fd(socket(at->address.is_v4() ? AF_INET : AF_INET6,
                 SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return;
    const int error = begin_to_connect(fd.get(), *at);
    if (error == EINPROGRESS)
      attempts_.push_back({std::move(fd), target});
    else
      take(target, error);
  }

  void take(const std::string& target, int error) {
    if (error == 0) found_ = target + " accepts connections";
    if (error == ECONNREFUSED) found_ = target + " refuses connections";
  }

  MonoTime deadline_;
  ReachDesk::Done done_;
  std::vector<Attempt> attempts_;
  std::string tried_;
  std::optional<std::string> found_;
};

class PollDesk final : public ReachDesk {
 public:
  explicit PollDesk(Clock& clock)
      : clock_(clock),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        thread_([this](const std::stop_token& stop) { loop(stop); }) {}

  ~PollDesk() override {
    thread_.request_stop();
    eventfd_write(wake_.get(), 1);
    thread_.join();
  }

  void look(const std::vector<std::string>& targets, Duration timeout, Done done) override {
    const MonoTime deadline =
        clock_.mono() + std::clamp<Duration>(timeout, std::chrono::milliseconds(1), kLongest);
    fresh_.with([&](std::vector<Order>& fresh) {
      // Without targets it is answered at once.
      const bool is_busy = fresh.size() >= kLooks;
      fresh.push_back({is_busy ? std::vector<std::string>() : targets, deadline, std::move(done)});
    });
    eventfd_write(wake_.get(), 1);
  }

 private:
  struct Order {
    std::vector<std::string> targets;
    MonoTime deadline;
    Done done;
  };

  void loop(const std::stop_token& stop) {
    std::vector<Look> looks;
    while (!stop.stop_requested()) {
      for (Order& order : fresh_.with([](auto& fresh) { return std::exchange(fresh, {}); })) {
        if (looks.size() >= kLooks) order.targets.clear();
        looks.emplace_back(order.targets, order.deadline, std::move(order.done));
      }
      std::erase_if(looks, [&](Look& look) { return look.step(clock_.mono()); });
      wait(looks);
    }
  }

  void wait(const std::vector<Look>& looks) {
    std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
    int64_t left = kIdleMs;
    for (const Look& look : looks) {
      look.add_to(fds);
      const auto until =
          std::chrono::ceil<std::chrono::milliseconds>(look.deadline() - clock_.mono());
      left = std::clamp<int64_t>(until.count(), 0, left);
    }
    poll(fds.data(), fds.size(), static_cast<int>(left));
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);
  }

  Clock& clock_;
  Locked<std::vector<Order>> fresh_;
  Fd wake_;
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<ReachDesk> ReachDesk::start(Clock& clock) {
  return std::make_unique<PollDesk>(clock);
}

}  // namespace frameworks
