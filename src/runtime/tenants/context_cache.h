// A bounded table of prepared contexts by hash: fixed in size, one cache line and its own lock a
// set, so that a look-up waits for memory twice and for nobody.
//
// A set holds three; a fourth takes the place of one of them in turn. Threadsafe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace frameworks {

template <typename Entry>
class ContextCache {
 public:
  using Ptr = std::shared_ptr<const Entry>;

  explicit ContextCache(size_t entries) : sets_(std::max<size_t>(1, entries / kWays)) {}

  // Null when there is none. Two names may share a hash: the entry says whose it is.
  [[nodiscard]] Ptr find(uint64_t hash) const {
    Set& set = set_of(hash);
    const Hold hold(set);
    for (size_t i = 0; i < kWays; ++i)
      if (set.tags[i] == tag_of(hash)) return set.entries[i];
    return nullptr;
  }

  void put(uint64_t hash, Ptr entry) {
    Set& set = set_of(hash);
    const Hold hold(set);
    size_t place = kWays;
    for (size_t i = 0; i < kWays; ++i)
      if (set.tags[i] == tag_of(hash)) place = i;
    for (size_t i = 0; i < kWays && place == kWays; ++i)
      if (set.entries[i] == nullptr) place = i;
    if (place == kWays) {
      place = set.next % kWays;
      ++set.next;
    }
    set.tags[place] = tag_of(hash);
    set.entries[place].swap(entry);  // the old one goes after the lock
  }

 private:
  static constexpr size_t kWays = 3;
  struct alignas(64) Set {
    std::array<Ptr, kWays> entries;
    std::array<uint32_t, kWays> tags{};
    std::atomic<bool> held = false;
    uint8_t next = 0;
  };
  static_assert(sizeof(Set) == 64);

  class Hold {
   public:
    explicit Hold(Set& set) : set_(set) {
      while (set_.held.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    }
    ~Hold() { set_.held.store(false, std::memory_order_release); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Set& set_;
  };

  Set& set_of(uint64_t hash) const { return sets_[(hash >> 32) % sets_.size()]; }
  // 0 is that of an empty place.
  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash) | 1U; }

  mutable std::vector<Set> sets_;
};

}  // namespace frameworks
