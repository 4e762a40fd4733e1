#include "base/keyed_hash.h"

#include <bit>
#include <cstring>

#include "base/text.h"

namespace frameworks {
namespace {

struct Key {
  uint64_t low = 0;
  uint64_t high = 0;
};

Key new_key() {
  Key key;
  const std::string bytes = random_bytes(sizeof key);
  std::memcpy(&key, bytes.data(), sizeof key);
  return key;
}

struct SipState {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void take(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

template <typename Word = uint64_t>
uint64_t word_at(const char* at) {
  Word word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// The last `left` bytes, fewer than eight, of `bytes`. In registers alone: were they put together
// in memory, reading them back would wait until all that the processor had begun before is done,
// and look-ups one after the other could not wait for memory at the same time.
uint64_t tail_of(std::string_view bytes, size_t left) {
  static_assert(std::endian::native == std::endian::little);
  if (left == 0) return 0;
  const char* const end = bytes.data() + bytes.size();
  if (bytes.size() >= 8) return word_at(end - 8) >> (64 - 8 * left);
  if (left >= 4)
    return word_at<uint32_t>(end - left) | word_at<uint32_t>(end - 4) << (8 * (left - 4));
  return word_at<uint8_t>(end - left) |
         word_at<uint8_t>(end - left + left / 2) << (8 * (left / 2)) |
         word_at<uint8_t>(end - 1) << (8 * (left - 1));
}

}  // namespace

uint64_t keyed_hash(std::string_view bytes) {
  static const Key key = new_key();
  SipState state{key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d,
                 key.low ^ 0x6c7967656e657261, key.high ^ 0x7465646279746573};
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) state.take(word_at(at));
  state.take(static_cast<uint64_t>(bytes.size()) << 56 | tail_of(bytes, left));
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace frameworks
