#include "server/event_loop.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>
#include <utility>

#include "base/error.h"

namespace frameworks {
namespace {

constexpr size_t kScratch = 64 << 10;
constexpr std::chrono::milliseconds kTick{200};
constexpr int kMaxAccepts = 64;  // before others have their turn
constexpr int kMaxThreads = 16;
// Buffers that are kept, and of what size.
constexpr size_t kBuffers = 64;
constexpr size_t kLeastBuffer = 256;
constexpr size_t kMostBuffer = 64 << 10;

// Addresses that no handler has.
char wake_mark = 0;
char listen_mark = 0;

}  // namespace

int EventLoop::threads() {
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof mine, &mine) != 0) return 1;
  return std::clamp(CPU_COUNT(&mine), 1, kMaxThreads);
}

EventLoop::EventLoop(Clock& clock)
    : clock_(clock),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      scratch_(kScratch) {
  CHECK(epoll_.valid() && wake_.valid());
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = &wake_mark;
  CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
}

EventLoop::~EventLoop() { stop(); }

void EventLoop::start() {
  thread_ = std::jthread([this] { run(); });
}

void EventLoop::post(std::function<void()> task) {
  const bool first = posted_.with([&](Posted& posted) {
    if (posted.ended) return false;
    posted.tasks.push_back(std::move(task));
    return posted.tasks.size() == 1;
  });
  if (!first) return;
  const uint64_t one = 1;
  // Only fails when the counter is full, and then the loop wakes all the same.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void EventLoop::stop() {
  if (!thread_.joinable()) return;
  post([this] {
    stopping_ = true;
    const auto handlers = handlers_;
    for (const auto& handler : handlers) handler->on_stop();
  });
  thread_.join();
}

bool EventLoop::add(int fd, std::shared_ptr<Handler> handler) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = handler.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
  handler->place_ = handlers_.size();
  handler->listed_ = true;
  handlers_.push_back(std::move(handler));
  return true;
}

bool EventLoop::listen(int fd, std::function<bool()> ready) {
  accept_ = std::move(ready);
  epoll_event event{};
  // Of several loops that listen, one is woken.
  event.events = EPOLLIN | EPOLLEXCLUSIVE;
  event.data.ptr = &listen_mark;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void EventLoop::remove(Handler& handler) {
  if (!handler.listed_) return;
  handler.listed_ = false;
  auto& place = handlers_[handler.place_];
  removed_.push_back(std::move(place));
  if (handler.place_ + 1 != handlers_.size()) {
    place = std::move(handlers_.back());
    place->place_ = handler.place_;
  }
  handlers_.pop_back();
}

std::string_view EventLoop::date() {
  if (date_.empty() || now_ - dated_ >= std::chrono::seconds(1)) {
    dated_ = now_;
    const std::time_t time = std::chrono::system_clock::to_time_t(clock_.wall());
    std::tm parts{};
    gmtime_r(&time, &parts);
    char text[40];
    date_.assign(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
  }
  return date_;
}

void EventLoop::lend_buffer(std::string& text) {
  if (buffers_.empty() || text.capacity() >= kLeastBuffer) return;
  text = std::move(buffers_.back());
  buffers_.pop_back();
}

void EventLoop::return_buffer(std::string& text) {
  std::string buffer = std::exchange(text, {});
  const size_t size = buffer.capacity();
  if (size < kLeastBuffer || size > kMostBuffer || buffers_.size() == kBuffers) return;
  buffer.clear();
  buffers_.push_back(std::move(buffer));
}

void EventLoop::run_tasks() {
  auto tasks = posted_.with([](Posted& posted) { return std::exchange(posted.tasks, {}); });
  for (auto& task : tasks) task();
}

void EventLoop::tick() {
  if (now_ - ticked_ < kTick) return;
  ticked_ = now_;
  // A handler may remove itself, and then another takes its place: that one waits for the next.
  for (size_t i = 0; i < handlers_.size(); ++i) {
    const auto handler = handlers_[i];
    handler->on_tick(now_);
  }
}

void EventLoop::run() {
  // Writing to a connection that TLS finds closed must not end the process.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  std::array<epoll_event, 256> events{};
  while (!stopping_) {
    const int timeout = handlers_.empty() ? -1 : static_cast<int>(kTick.count());
    const int count =
        epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    now_ = clock_.mono();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.ptr == &wake_mark) {
        uint64_t value = 0;
        [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &value, sizeof value);
        continue;
      }
      if (event.data.ptr == &listen_mark) {
        for (int tries = 0; tries < kMaxAccepts && accept_(); ++tries) continue;
        continue;
      }
      auto* handler = static_cast<Handler*>(event.data.ptr);
      const bool ended = (event.events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
      if (handler->listed_) handler->on_ready(ended || (event.events & EPOLLIN) != 0, ended);
    }
    for (Handler* handler : turn_)
      if (handler->listed_) handler->on_turn_end();
    turn_.clear();
    run_tasks();
    tick();
    removed_.clear();
  }
  // What was posted last may hold handlers: nothing runs any more, but it is let go of here.
  auto tasks = posted_.with([](Posted& posted) {
    posted.ended = true;
    return std::exchange(posted.tasks, {});
  });
  tasks.clear();
  handlers_.clear();
  removed_.clear();
}

}  // namespace frameworks
