// Who waits for which marks: told that one was touched, not what became of it. Threadsafe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/locked.h"
#include "runtime/tenants/context_touch.h"

namespace frameworks {

class ContextWatchers {
 public:
  class Watcher {
   public:
    explicit Watcher(std::function<void()> poke) : poke_(std::move(poke)) {}
    // Before looking at what is new: from here on there is a reason to be poked again.
    void look() { told_ = false; }

   private:
    friend class ContextWatchers;
    std::atomic<bool> told_ = false;
    std::vector<ContextMark> marks_;  // under the table's lock
    Locked<std::function<void()>> poke_;
  };
  using WatcherPtr = std::shared_ptr<Watcher>;

  // From now on the watcher waits for these marks, and for no others.
  void wait_for(const WatcherPtr& watcher, const std::vector<ContextMark>& marks) {
    waiting_.with([&](auto& waiting) {
      if (watcher->marks_ == marks) return;
      forget(waiting, watcher);
      watcher->marks_ = marks;
      for (const ContextMark mark : marks) waiting[mark].insert(watcher);
    });
  }

  // No poke runs any more when it returns. Not from within the watcher's poke.
  void remove(const WatcherPtr& watcher) {
    waiting_.with([&](auto& waiting) { forget(waiting, watcher); });
    watcher->poke_.with([](auto& poke) { poke = nullptr; });
  }

  // Pokes those who wait for one of the marks, and have looked since they were last told.
  void touch(const std::vector<ContextMark>& marks) {
    std::vector<WatcherPtr> due;
    waiting_.with([&](const auto& waiting) {
      for (const ContextMark mark : marks)
        if (const auto at = waiting.find(mark); at != waiting.end()) add_due(at->second, due);
    });
    tell(due);
  }
  void touch_all() {
    std::vector<WatcherPtr> due;
    waiting_.with([&](const auto& waiting) {
      for (const auto& [mark, watchers] : waiting) add_due(watchers, due);
    });
    tell(due);
  }

 private:
  using Watchers = std::unordered_set<WatcherPtr>;
  using Waiting = std::unordered_map<ContextMark, Watchers>;

  static void forget(Waiting& waiting, const WatcherPtr& watcher) {
    for (const ContextMark mark : watcher->marks_) {
      const auto at = waiting.find(mark);
      at->second.erase(watcher);
      if (at->second.empty()) waiting.erase(at);
    }
    watcher->marks_.clear();
  }
  static void add_due(const Watchers& watchers, std::vector<WatcherPtr>& due) {
    for (const WatcherPtr& watcher : watchers)
      if (!watcher->told_.exchange(true)) due.push_back(watcher);
  }
  // Only the watcher's own lock is held while its poke runs: it is what remove() waits for.
  static void tell(const std::vector<WatcherPtr>& due) {
    for (const WatcherPtr& watcher : due)
      watcher->poke_.with([](const auto& poke) {
        if (poke) poke();
      });
  }

  Locked<Waiting> waiting_;
};

}  // namespace frameworks
