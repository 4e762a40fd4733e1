// Values sealed for keeping: AES-256-GCM (NIST SP 800-38D), each bound to its place, with keys that
// can be replaced.
//
// A sealed value is text, "sealed:1:<key id>:<base64 of nonce, ciphertext and tag>". Its length
// tells the value's, and nothing else of it is told. Immutable and threadsafe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace frameworks {

class SealKeys {
 public:
  // One new key.
  static SealKeys make();
  // The text of a key file: a key a line, "<id> <64 hex digits>"; the first one seals, all of them
  // open. kInvalidArgument names the line, never what is in it.
  static Result<SealKeys> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  // With a new key, which seals from then on.
  [[nodiscard]] SealKeys rotated() const;

  // `place` is where the value belongs; elsewhere it does not open.
  [[nodiscard]] std::string seal(std::string_view value, std::string_view place) const;
  // kNotFound: sealed by a key that is not here. kDataLoss: not sealed, changed, or of another
  // place.
  [[nodiscard]] Result<std::string> open(std::string_view sealed, std::string_view place) const;
  // Sealed by the key that seals now.
  [[nodiscard]] bool is_newest(std::string_view sealed) const;

 private:
  struct Key {
    std::string id;     // 8 hex digits, of the key's hash
    std::string bytes;  // 32
  };
  static Key make_key();

  std::vector<Key> keys_;  // at least one
};

// Whether the text has the form of a sealed value.
bool is_sealed(std::string_view text);

}  // namespace frameworks
