// The wide area between regions: a switch with one port a region that learns addresses and makes
// every frame wait, get lost or queue as the links of both regions say. Pure: time and chance come
// from outside, frames go in and come out. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace frameworks::hostd {

struct WanLink {
  std::string region;
  Duration delay{0};     // one way, to the middle of the WAN
  Duration jitter{0};    // each frame up to this much more or less; order within a pair is kept
  double loss = 0;       // 0 to 1
  double rate_mbps = 0;  // each way; 0: unlimited
  bool down = false;
};

class WanEmulator {
 public:
  // More than this waiting is dropped, like by any router.
  static constexpr size_t kMostBytesWaiting = size_t{64} << 20;
  // A limited link holds at most this much time's worth of frames.
  static constexpr Duration kLongestQueue = std::chrono::milliseconds(200);
  static constexpr size_t kMostAddresses = 65536;
  static constexpr Duration kAddressAge = std::chrono::minutes(5);

  explicit WanEmulator(uint64_t seed) : chance_(seed) {}

  // All links. Frames under way to a region that is gone or down are lost.
  void configure(const std::vector<WanLink>& links);

  // A frame (Ethernet, without checksum) that leaves `region` for the WAN.
  void receive(const std::string& region, std::span<const uint8_t> frame, MonoTime now);

  struct Delivery {
    std::string region;
    std::vector<uint8_t> frame;
  };
  // When the next frame is due; nothing when none waits.
  [[nodiscard]] std::optional<MonoTime> next_due() const;
  // A frame that is due.
  std::optional<Delivery> take(MonoTime now);

  [[nodiscard]] size_t bytes_waiting() const { return bytes_waiting_; }

 private:
  using Mac = uint64_t;
  struct Port {
    WanLink link;
    MonoTime up_free{};    // when the line from the region is free again
    MonoTime down_free{};  // and the line to it
  };
  struct Learned {
    std::string region;
    MonoTime seen;
  };
  struct Waiting {
    MonoTime due;
    uint64_t order;
    std::string region;
    std::vector<uint8_t> frame;
    bool operator>(const Waiting& other) const {
      return due != other.due ? due > other.due : order > other.order;
    }
  };

  bool lost(double share) { return share > 0 && std::bernoulli_distribution(share)(chance_); }
  Duration delay_of(const WanLink& link);
  // When a frame that comes to the line at `now` has passed it; nothing when the queue is full.
  static std::optional<MonoTime> pass(double rate_mbps, MonoTime& free, size_t bytes, MonoTime now);
  void learn(Mac source, const std::string& region, MonoTime now);
  void send(Port& from, Port& to, std::span<const uint8_t> frame, MonoTime at);

  std::mt19937_64 chance_;
  std::map<std::string, Port> ports_;
  std::unordered_map<Mac, Learned> learned_;
  std::map<std::pair<std::string, std::string>, MonoTime> last_due_;
  std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting_;
  size_t bytes_waiting_ = 0;
  uint64_t order_ = 0;
};

}  // namespace frameworks::hostd
