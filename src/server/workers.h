// A few threads for work that waits, so that transports never do.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace frameworks {

// Threadsafe. stop() finishes what was accepted; call it before destroying what tasks use, above
// all the transports that they answer to.
class Workers {
 public:
  Workers(int threads, size_t queue) : limit_(queue) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Workers() { stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False when the queue is full: refuse the caller.
  [[nodiscard]] bool try_post(std::function<void()> task) { return push(std::move(task), limit_); }
  // For follow-up work of what was accepted already, bounded by the number of calls.
  void post(std::function<void()> task) { push(std::move(task), SIZE_MAX); }

  // Tasks that wait for a thread.
  [[nodiscard]] size_t waiting() {
    std::lock_guard lock(mutex_);
    return queue_.size();
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    ready_.notify_all();
    threads_.clear();
  }

 private:
  bool push(std::function<void()> task, size_t limit) {
    {
      std::lock_guard lock(mutex_);
      if (stopped_ || queue_.size() >= limit) return false;
      queue_.push_back(std::move(task));
    }
    ready_.notify_one();
    return true;
  }

  void work() {
    while (true) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [&] { return stopped_ || !queue_.empty(); });
        if (queue_.empty()) return;
        task = std::move(queue_.front());
        queue_.pop_front();
      }
      task();
    }
  }

  const size_t limit_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace frameworks
