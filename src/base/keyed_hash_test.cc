#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace frameworks {
namespace {

TEST(KeyedHash, EveryByteAndTheLengthCount) {
  for (size_t size = 0; size < 40; ++size) {
    const std::string text(size, 'a');
    std::set<uint64_t> seen{keyed_hash(text), keyed_hash(text + '\0')};
    for (size_t at = 0; at < size; ++at)
      for (const unsigned bit : {1U, 0x80U}) {
        std::string other = text;
        other[at] = static_cast<char>(static_cast<unsigned char>(other[at]) ^ bit);
        seen.insert(keyed_hash(other));
      }
    EXPECT_EQ(seen.size(), 2 + 2 * size) << size;
  }
}

// What lies around the bytes is not read.
TEST(KeyedHash, OnlyTheBytesCount) {
  const std::string text = "0123456789abcdefghijklmnop";
  for (size_t begin = 0; begin <= text.size(); ++begin)
    for (size_t size = 0; begin + size <= text.size(); ++size) {
      const std::string alone = text.substr(begin, size);
      const std::string elsewhere = "ZZZ" + alone + "ZZZ";
      EXPECT_EQ(keyed_hash(std::string_view(text).substr(begin, size)), keyed_hash(alone));
      EXPECT_EQ(keyed_hash(std::string_view(elsewhere).substr(3, size)), keyed_hash(alone));
    }
}

}  // namespace
}  // namespace frameworks
