// Callbacks of watchers: told that there is something new, not what. Threadsafe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <unordered_set>
#include <vector>

#include "base/locked.h"

namespace frameworks {

class PokeList {
 public:
  class Watcher {
   public:
    explicit Watcher(std::function<void()> poke) : poke_(std::move(poke)) {}
    // Before looking at what is new: from here on there is a reason to be poked again.
    void look() { told_ = false; }

   private:
    friend class PokeList;
    std::atomic<bool> told_ = false;
    Locked<std::function<void()>> poke_;
  };

  std::shared_ptr<Watcher> add(std::function<void()> poke) {
    auto watcher = std::make_shared<Watcher>(std::move(poke));
    watchers_.with([&](auto& all) { all.insert(watcher); });
    return watcher;
  }

  // No poke runs any more when it returns. Not from within the watcher's poke.
  void remove(const std::shared_ptr<Watcher>& watcher) {
    watchers_.with([&](auto& all) { all.erase(watcher); });
    watcher->poke_.with([](auto& poke) { poke = nullptr; });
  }

  // Pokes those who have looked since they were last told.
  void poke() {
    std::vector<std::shared_ptr<Watcher>> due;
    watchers_.with([&](const auto& all) {
      for (const auto& watcher : all)
        if (!watcher->told_.exchange(true)) due.push_back(watcher);
    });
    // Only the watcher's own lock is held while its poke runs: it is what remove() waits for.
    for (const auto& watcher : due)
      watcher->poke_.with([](const auto& poke) {
        if (poke) poke();
      });
  }

 private:
  Locked<std::unordered_set<std::shared_ptr<Watcher>>> watchers_;
};

}  // namespace frameworks
