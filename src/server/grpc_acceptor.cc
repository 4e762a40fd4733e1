#include "server/grpc_acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>

namespace frameworks {
namespace {

constexpr std::chrono::seconds kLook{1};

// 0 for what is no open socket.
ino_t socket_inode(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

}  // namespace

Result<std::unique_ptr<GrpcAcceptor>> GrpcAcceptor::listen(const std::string& address,
                                                           ConnectionLimits limits) {
  ASSIGN_OR_RETURN(Acceptor acceptor, Acceptor::listen(address));
  return std::unique_ptr<GrpcAcceptor>(new GrpcAcceptor(std::move(acceptor), limits));
}

GrpcAcceptor::GrpcAcceptor(Acceptor acceptor, ConnectionLimits limits)
    : acceptor_(std::move(acceptor)),
      limits_(limits),
      count_(limits),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void GrpcAcceptor::start(Take take) {
  take_ = std::move(take);
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

void GrpcAcceptor::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

void GrpcAcceptor::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd wanted[] = {{acceptor_.fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    const bool many = count_.open() >= std::min(limits_.per_address, limits_.connections) / 2;
    poll(wanted, 2, many ? static_cast<int>(kLook / std::chrono::milliseconds(1)) : -1);
    const MonoTime now = system_clock().mono();
    if (many && now - looked_ >= kLook) {
      looked_ = now;
      forget_closed();
    }
    if ((wanted[0].revents & POLLIN) != 0) accept_all();
  }
}

void GrpcAcceptor::accept_all() {
  for (bool more = true; more;) {
    Accepted accepted = acceptor_.accept(count_);
    more = accepted.more;
    if (!accepted.fd.valid()) continue;
    const int fd = accepted.fd.release();
    // The descriptor is new, so whoever had its number has ended.
    if (const auto old = open_.find(fd); old != open_.end()) count_.leave(old->second.address);
    open_[fd] = {socket_inode(fd), std::move(accepted.address)};
    take_(fd);
  }
}

void GrpcAcceptor::forget_closed() {
  for (auto at = open_.begin(); at != open_.end();) {
    const ino_t now = socket_inode(at->first);
    if (now != 0 && now == at->second.inode) {
      ++at;
      continue;
    }
    count_.leave(at->second.address);
    at = open_.erase(at);
  }
}

}  // namespace frameworks
