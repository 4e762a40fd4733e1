// Who may write next: appends first, upkeep in the gaps.
//
// SQLite allows one writer at a time and waits for it by polling; here the second one is woken.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace frameworks {

class WriteTurn {
 public:
  class Hold {
   public:
    explicit Hold(WriteTurn& turn) : turn_(&turn) {}
    // An append waits for it.
    [[nodiscard]] bool is_wanted() const { return turn_->appends_waiting_ > 0; }
    Hold(Hold&& other) noexcept : turn_(std::exchange(other.turn_, nullptr)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (turn_ != nullptr) turn_->release();
    }

   private:
    WriteTurn* turn_;
  };

  Hold for_append() {
    std::unique_lock lock(mutex_);
    ++appends_waiting_;
    free_.wait(lock, [this] { return !held_; });
    --appends_waiting_;
    held_ = true;
    return Hold(*this);
  }

  // Gives way to appends, but not for ever.
  Hold for_upkeep() {
    std::unique_lock lock(mutex_);
    free_.wait_for(lock, std::chrono::milliseconds(20),
                   [this] { return !held_ && appends_waiting_ == 0; });
    free_.wait(lock, [this] { return !held_; });
    held_ = true;
    return Hold(*this);
  }

 private:
  void release() {
    {
      std::lock_guard lock(mutex_);
      held_ = false;
    }
    free_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable free_;
  bool held_ = false;
  std::atomic<int> appends_waiting_ = 0;
};

}  // namespace frameworks
