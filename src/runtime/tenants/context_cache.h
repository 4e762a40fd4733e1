// A bounded table of prepared contexts by hash: fixed in size; a look-up waits for memory twice (a
// line of the table, then the context) and for nobody.
//
// Shards with a lock each, of lines of three places; what finds its line full goes to one of the
// next few. A shard that has all it may takes out, in turn, what was not asked for since it was
// last passed; and where those few lines are full, too, one of theirs goes. Shards are large: names
// that are asked for often all have room at once, as long as there are fewer of them than the table
// may hold. Threadsafe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace frameworks {

template <typename Entry>
class ContextCache {
 public:
  using Ptr = std::shared_ptr<const Entry>;

  explicit ContextCache(size_t entries)
      : most_(std::min<size_t>(std::max<size_t>(1, entries), kShardEntries)),
        shards_(std::max<size_t>(1, entries / kShardEntries)),
        lines_(shards_.size() * kLines) {}

  // Null when there is none. Two names may share a hash: the entry says whose it is.
  [[nodiscard]] Ptr find(uint64_t hash) const {
    Shard& shard = shard_of(hash);
    const Hold hold(shard);
    const Place at = place_of(hash);
    return at.line == nullptr ? nullptr : at.line->use(at.way);
  }

  void put(uint64_t hash, Ptr entry) {
    Shard& shard = shard_of(hash);
    const Hold hold(shard);
    if (const Place at = place_of(hash); at.line != nullptr) {
      at.line->use(at.way);
      at.line->entries[at.way].swap(entry);  // the old one goes after the lock
      return;
    }
    Line* const lines = lines_of(hash);
    const size_t home = home_of(hash);
    const Ptr old = shard.count == most_ ? make_room(shard, lines) : nullptr;
    Place at = free_place(lines, home);
    Ptr neighbour;
    if (at.line == nullptr) {
      at = least_wanted(lines, home);
      neighbour = take_out(shard, lines, at);
    }
    for (size_t i = home; lines + i != at.line; i = (i + 1) % kLines) ++lines[i].passed;
    at.line->tags[at.way] = tag_of(hash);
    at.line->homes[at.way] = static_cast<uint8_t>(home);
    at.line->entries[at.way] = std::move(entry);
    (void)at.line->use(at.way);
    ++shard.count;
  }

 private:
  static constexpr size_t kWays = 3;
  static constexpr size_t kLines = 128;
  // Two thirds of the places, so that the first line nearly always has it.
  static constexpr size_t kShardEntries = 256;
  // Lines in which an entry may be, from its home on: bounds every search.
  static constexpr size_t kReach = 8;

  struct alignas(64) Line {
    std::array<Ptr, kWays> entries;
    std::array<uint16_t, kWays> tags{};
    std::array<uint8_t, kWays> homes{};  // the lines where a search for them begins
    uint8_t used = 0;                    // a bit each: asked for since the last turn
    uint16_t passed = 0;                 // how many that are in the table went on to the next line

    Ptr use(size_t way) {
      const auto bit = static_cast<uint8_t>(1U << way);
      if ((used & bit) == 0) used = static_cast<uint8_t>(used | bit);
      return entries[way];
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

  size_t shard_index(uint64_t hash) const { return (hash >> 32) % shards_.size(); }
  Shard& shard_of(uint64_t hash) const { return shards_[shard_index(hash)]; }
  Line* lines_of(uint64_t hash) const { return lines_.data() + shard_index(hash) * kLines; }
  static size_t home_of(uint64_t hash) { return (hash >> 16) % kLines; }
  static uint16_t tag_of(uint64_t hash) { return static_cast<uint16_t>(hash); }

  Place place_of(uint64_t hash) const {
    Line* const lines = lines_of(hash);
    const size_t home = home_of(hash);
    for (size_t n = 0; n < kReach; ++n) {
      Line& line = lines[(home + n) % kLines];
      for (size_t way = 0; way < kWays; ++way)
        if (line.tags[way] == tag_of(hash) && line.homes[way] == home &&
            line.entries[way] != nullptr)
          return {&line, way};
      if (line.passed == 0) return {};
    }
    return {};
  }

  static Place free_place(Line* lines, size_t home) {
    for (size_t n = 0; n < kReach; ++n) {
      Line& line = lines[(home + n) % kLines];
      for (size_t way = 0; way < kWays; ++way)
        if (line.entries[way] == nullptr) return {&line, way};
    }
    return {};
  }

  // Of the full lines from `home` on: what was not asked for lately, else the first.
  static Place least_wanted(Line* lines, size_t home) {
    for (size_t n = 0; n < kReach; ++n) {
      Line& line = lines[(home + n) % kLines];
      for (size_t way = 0; way < kWays; ++way)
        if ((line.used & (1U << way)) == 0) return {&line, way};
      line.used = 0;
    }
    return {&lines[home], 0};
  }

  // Takes one out of a full shard.
  Ptr make_room(Shard& shard, Line* lines) {
    while (true) {
      shard.hand = (shard.hand + 1) % (kLines * kWays);
      const Place at{&lines[shard.hand / kWays], shard.hand % kWays};
      if (at.line->entries[at.way] == nullptr) continue;
      const auto bit = static_cast<uint8_t>(1U << at.way);
      if ((at.line->used & bit) == 0) return take_out(shard, lines, at);
      at.line->used = static_cast<uint8_t>(at.line->used & ~bit);
    }
  }

  static Ptr take_out(Shard& shard, Line* lines, Place at) {
    for (size_t i = at.line->homes[at.way]; lines + i != at.line; i = (i + 1) % kLines)
      --lines[i].passed;
    --shard.count;
    return std::exchange(at.line->entries[at.way], nullptr);
  }

  const size_t most_;  // entries of a shard
  mutable std::vector<Shard> shards_;
  mutable std::vector<Line> lines_;
};

}  // namespace frameworks
