// A bounded table of prepared contexts by hash: fixed in size; a look-up waits for memory twice (a
// line of the table, then the context) and for nobody. It takes no lock and counts no reference:
// what is taken out is kept until nobody reads it (base/read_section.h). One that comes while its
// entry is being put may miss it.
//
// Shards, with a lock each for those who put, of lines of five places; what finds its line full
// goes to one of the next few. A shard that has all it may takes out, in turn, what was not asked
// for since it was last passed; and where those few lines are full, too, one of theirs goes. Shards
// are large: names that are asked for often all have room at once, as long as there are fewer of
// them than the table may hold. Threadsafe.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/read_section.h"

namespace frameworks {

template <typename Entry>
class ContextCache {
 public:
  using Ptr = std::shared_ptr<const Entry>;

  explicit ContextCache(size_t entries)
      : most_(std::min<size_t>(std::max<size_t>(1, entries), kShardEntries)),
        shards_(std::max<size_t>(1, entries / kShardEntries)),
        lines_(shards_.size() * kLines),
        owners_(lines_.size() * kWays) {}

  // Null when there is none; stays until the section ends. Two names may share a hash, and an entry
  // may just go: it says itself whose it is.
  [[nodiscard]] const Entry* find(const ReadSection&, uint64_t hash) const {
    const Place at = place_of(hash);
    if (at.line == nullptr) return nullptr;
    at.line->use(at.way);
    return at.line->entries[at.way].load(std::memory_order_acquire);
  }

  // Never while a section is open: may wait for readers.
  void put(uint64_t hash, Ptr entry) {
    auto [old, neighbour] = exchange(hash, std::move(entry));
    retired_.add(std::move(old));
    retired_.add(std::move(neighbour));
  }

 private:
  static constexpr size_t kWays = 5;
  static constexpr size_t kLines = 128;
  // Three fifths of the places, so that the first line nearly always has it.
  static constexpr size_t kShardEntries = 384;
  // Lines in which an entry may be, from its home on: bounds every search.
  static constexpr size_t kReach = 8;

  // Read by anybody, written under the shard's lock; but `used`, a hint, by anybody.
  struct alignas(64) Line {
    std::array<std::atomic<const Entry*>, kWays> entries{};
    std::array<std::atomic<uint32_t>, kWays> tags{};  // they tell the home
    std::atomic<uint8_t> used = 0;                    // a bit each: asked for since the last turn
    std::atomic<uint16_t> passed = 0;  // how many that are in the table went on to the next line

    void use(size_t way) {
      const uint8_t now = used.load(std::memory_order_relaxed);
      const auto bit = static_cast<uint8_t>(1U << way);
      if ((now & bit) == 0) used.store(static_cast<uint8_t>(now | bit), std::memory_order_relaxed);
    }
    void disuse(uint8_t bits) {
      const uint8_t now = used.load(std::memory_order_relaxed);
      used.store(static_cast<uint8_t>(now & ~bits), std::memory_order_relaxed);
    }
    [[nodiscard]] bool is_used(size_t way) const {
      return (used.load(std::memory_order_relaxed) & (1U << way)) != 0;
    }
    [[nodiscard]] bool is_free(size_t way) const {
      return entries[way].load(std::memory_order_relaxed) == nullptr;
    }
    void pass(int more) {
      const int now = passed.load(std::memory_order_relaxed);
      passed.store(static_cast<uint16_t>(now + more), std::memory_order_relaxed);
    }
  };
  static_assert(sizeof(Line) == 64);
  struct alignas(64) Shard {
    std::atomic<bool> held = false;
    size_t count = 0;
    size_t hand = 0;  // the place whose turn it is
  };
  struct Place {
    Line* line = nullptr;
    size_t way = 0;
  };

  class Hold {
   public:
    explicit Hold(Shard& shard) : shard_(shard) {
      while (shard_.held.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    }
    ~Hold() { shard_.held.store(false, std::memory_order_release); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Shard& shard_;
  };

  size_t shard_index(uint64_t hash) const { return ((hash >> 32) * shards_.size()) >> 32; }
  Line* lines_of(uint64_t hash) const { return lines_.data() + shard_index(hash) * kLines; }
  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash); }
  static size_t home_of(uint32_t tag) { return (tag >> 16) % kLines; }

  // All places of a line are compared before it is decided upon: which one it is cannot be
  // foreseen.
  Place place_of(uint64_t hash) const {
    Line* const lines = lines_of(hash);
    const uint32_t tag = tag_of(hash);
    for (size_t n = 0; n < kReach; ++n) {
      Line& line = lines[(home_of(tag) + n) % kLines];
      unsigned found = 0;
      for (size_t way = 0; way < kWays; ++way)
        found |= static_cast<unsigned>(line.tags[way].load(std::memory_order_relaxed) == tag)
                 << way;
      for (; found != 0; found &= found - 1)
        if (const auto way = static_cast<size_t>(std::countr_zero(found)); !line.is_free(way))
          return {&line, way};
      if (line.passed.load(std::memory_order_relaxed) == 0) return {};
    }
    return {};
  }

  // What goes for it: what it replaces or makes room for, and a neighbour whose place it takes.
  std::pair<Ptr, Ptr> exchange(uint64_t hash, Ptr entry) {
    Shard& shard = shards_[shard_index(hash)];
    const Hold hold(shard);
    if (const Place at = place_of(hash); at.line != nullptr) {
      at.line->use(at.way);
      return {set(at, std::move(entry)), nullptr};
    }
    Line* const lines = lines_of(hash);
    const size_t home = home_of(tag_of(hash));
    Ptr old = shard.count == most_ ? make_room(shard, lines) : nullptr;
    Place at = free_place(lines, home);
    Ptr neighbour;
    if (at.line == nullptr) {
      at = least_wanted(lines, home);
      neighbour = take_out(shard, lines, at);
    }
    for (size_t i = home; lines + i != at.line; i = (i + 1) % kLines) lines[i].pass(1);
    at.line->tags[at.way].store(tag_of(hash), std::memory_order_relaxed);
    set(at, std::move(entry));
    at.line->use(at.way);
    ++shard.count;
    return {std::move(old), std::move(neighbour)};
  }

  static Place free_place(Line* lines, size_t home) {
    for (size_t n = 0; n < kReach; ++n) {
      Line& line = lines[(home + n) % kLines];
      for (size_t way = 0; way < kWays; ++way)
        if (line.is_free(way)) return {&line, way};
    }
    return {};
  }

  // Of the full lines from `home` on: what was not asked for lately, else the first.
  static Place least_wanted(Line* lines, size_t home) {
    for (size_t n = 0; n < kReach; ++n) {
      Line& line = lines[(home + n) % kLines];
      for (size_t way = 0; way < kWays; ++way)
        if (!line.is_used(way)) return {&line, way};
      line.disuse(0xff);
    }
    return {&lines[home], 0};
  }

  // Takes one out of a full shard.
  Ptr make_room(Shard& shard, Line* lines) {
    while (true) {
      shard.hand = (shard.hand + 1) % (kLines * kWays);
      const Place at{&lines[shard.hand / kWays], shard.hand % kWays};
      if (at.line->is_free(at.way)) continue;
      if (!at.line->is_used(at.way)) return take_out(shard, lines, at);
      at.line->disuse(static_cast<uint8_t>(1U << at.way));
    }
  }

  Ptr take_out(Shard& shard, Line* lines, Place at) {
    const size_t home = home_of(at.line->tags[at.way].load(std::memory_order_relaxed));
    for (size_t i = home; lines + i != at.line; i = (i + 1) % kLines) lines[i].pass(-1);
    --shard.count;
    return set(at, nullptr);
  }

  // What was there; it may still be read.
  Ptr set(Place at, Ptr entry) {
    at.line->entries[at.way].store(entry.get(), std::memory_order_release);
    const auto line = static_cast<size_t>(at.line - lines_.data());
    return std::exchange(owners_[line * kWays + at.way], std::move(entry));
  }

  const size_t most_;  // entries of a shard
  std::vector<Shard> shards_;
  mutable std::vector<Line> lines_;
  std::vector<Ptr> owners_;  // of the entries, in the same order
  Retired retired_;
};

}  // namespace frameworks
