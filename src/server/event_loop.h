// One thread and the sockets that it serves: edge-triggered events, deadlines, tasks of others.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/locked.h"

namespace frameworks {

class EventLoop {
 public:
  // What waits for events of a descriptor. All calls come from the loop's thread.
  class Handler {
   public:
    virtual ~Handler() = default;
    // `ended`: the peer sends nothing more.
    virtual void on_ready(bool readable, bool ended) = 0;
    // Asked for by at_end_of_turn().
    virtual void on_turn_end() {}
    // Comes several times a second: a handler looks whether it has waited too long.
    virtual void on_tick(MonoTime now) = 0;
    virtual void on_stop() = 0;

   private:
    friend class EventLoop;
    size_t place_ = 0;
    bool listed_ = false;
  };

  // A thread for each processor that this process may use, up to a bound.
  static int threads();

  explicit EventLoop(Clock& clock);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void start();
  // From any thread. False when the loop has ended: the task is dropped.
  void post(std::function<void()> task);
  // Ends every handler, then the thread, and joins it.
  void stop();

  // The rest is for the loop's thread.

  // Holds the handler until remove(). False when the system refuses.
  bool add(int fd, std::shared_ptr<Handler> handler);
  // A listening socket, level-triggered; `ready` accepts one connection and tells whether to ask
  // again. Before start().
  bool listen(int fd, std::function<bool()> ready);
  void remove(Handler& handler);
  // Calls on_turn_end() when the events that came together were handled. Whoever reads on an event
  // and writes then has its answers sent in a row: peers on one host are woken once, not by each.
  void at_end_of_turn(Handler& handler) { turn_.push_back(&handler); }
  // Of the events that are being handled.
  [[nodiscard]] MonoTime now() const { return now_; }
  // The "Date" of responses, of this second (RFC 9110, 5.6.7).
  [[nodiscard]] std::string_view date();
  // For bytes that are read and used up within one event.
  [[nodiscard]] std::vector<char>& scratch() { return scratch_; }
  // Buffers for what is sent, on the loop's thread: those that connections use one after the other
  // stay near the processor. Gives the empty `text` one, where there is one.
  void lend_buffer(std::string& text);
  // Empties `text`, and keeps its memory for the next connection.
  void return_buffer(std::string& text);

 private:
  void run();
  void run_tasks();
  void tick();

  Clock& clock_;
  Fd epoll_;
  Fd wake_;
  std::function<bool()> accept_;
  std::vector<std::shared_ptr<Handler>> handlers_;
  std::vector<std::shared_ptr<Handler>> removed_;  // until the batch of events is done
  std::vector<Handler*> turn_;
  std::vector<char> scratch_;
  std::vector<std::string> buffers_;  // that can be lent
  MonoTime now_{};
  MonoTime ticked_{};
  MonoTime dated_{};
  std::string date_;
  bool stopping_ = false;
  struct Posted {
    std::vector<std::function<void()>> tasks;
    bool ended = false;
  };
  Locked<Posted> posted_;
  std::jthread thread_;
};

}  // namespace frameworks
