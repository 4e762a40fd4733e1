#include "base/seal.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr std::string_view kPrefix = "sealed:1:";
constexpr size_t kIdDigits = 8;
constexpr size_t kKeyBytes = 32;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* in(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* out(std::string& text, size_t at = 0) {
  return reinterpret_cast<unsigned char*>(text.data()) + at;
}
int size(std::string_view text) { return static_cast<int>(text.size()); }

std::string key_id(std::string_view key) {
  return sha256_hex(std::string("frameworks seal key ").append(key)).substr(0, kIdDigits);
}

struct Parts {
  std::string_view key_id;
  std::string_view content;  // base64
};
// Empty when it has not the form.
Parts parts_of(std::string_view text) {
  if (!text.starts_with(kPrefix)) return {};
  text.remove_prefix(kPrefix.size());
  if (text.size() <= kIdDigits || text[kIdDigits] != ':') return {};
  return {text.substr(0, kIdDigits), text.substr(kIdDigits + 1)};
}

}  // namespace

bool is_sealed(std::string_view text) { return !parts_of(text).key_id.empty(); }

SealKeys::Key SealKeys::make_key() {
  std::string bytes = random_bytes(kKeyBytes);
  return {key_id(bytes), std::move(bytes)};
}

SealKeys SealKeys::make() {
  SealKeys keys;
  keys.keys_.push_back(make_key());
  return keys;
}

Result<SealKeys> SealKeys::parse(std::string_view text) {
  SealKeys keys;
  int number = 0;
  for (const std::string& each : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(each);
    if (line.empty()) continue;
    const size_t blank = line.find(' ');
    const auto bytes = hex_decode(trim(line.substr(std::min(blank, line.size()))));
    if (!bytes || bytes->size() != kKeyBytes || line.substr(0, blank) != key_id(*bytes))
      return Error(Code::kInvalidArgument,
                   fmt::format("line {}: not a key, its id and 64 hex digits", number));
    keys.keys_.push_back({key_id(*bytes), *bytes});
  }
  if (keys.keys_.empty()) return Error(Code::kInvalidArgument, "there is no key");
  return keys;
}

std::string SealKeys::text() const {
  std::string lines;
  for (const Key& key : keys_) lines += key.id + " " + hex_encode(key.bytes) + "\n";
  return lines;
}

SealKeys SealKeys::rotated() const {
  SealKeys keys = *this;
  keys.keys_.insert(keys.keys_.begin(), make_key());
  return keys;
}

bool SealKeys::is_newest(std::string_view sealed) const {
  return parts_of(sealed).key_id == keys_.front().id;
}

std::string SealKeys::seal(std::string_view value, std::string_view place) const {
  const Key& key = keys_.front();
  const std::string nonce = random_bytes(kNonceBytes);
  std::string content = nonce + std::string(value.size() + kTagBytes, '\0');
  const Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int written = 0;
  CHECK(EVP_EncryptInit_ex2(context.get(), EVP_aes_256_gcm(), in(key.bytes), in(nonce), nullptr) ==
        1);
  CHECK(EVP_EncryptUpdate(context.get(), nullptr, &written, in(place), size(place)) == 1);
  CHECK(EVP_EncryptUpdate(context.get(), out(content, kNonceBytes), &written, in(value),
                          size(value)) == 1);
  CHECK(EVP_EncryptFinal_ex(context.get(), out(content, kNonceBytes + value.size()), &written) ==
        1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes,
                            out(content, kNonceBytes + value.size())) == 1);
  return fmt::format("{}{}:{}", kPrefix, key.id, base64_encode(content));
}

Result<std::string> SealKeys::open(std::string_view sealed, std::string_view place) const {
  const auto [key_id, text] = parts_of(sealed);
  const std::string_view id = key_id;
  const Error broken(Code::kDataLoss, "is changed, or of another place");
  if (id.empty()) return Error(Code::kDataLoss, "is not sealed");
  const auto key =
      std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.id == id; });
  if (key == keys_.end())
    return Error(Code::kNotFound, fmt::format("is sealed by key {}, which is not here", id));
  auto content = base64_decode(text);
  // One text for each content: bits that decoding drops are no place for a change.
  if (!content || content->size() < kNonceBytes + kTagBytes || base64_encode(*content) != text)
    return broken;
  const size_t length = content->size() - kNonceBytes - kTagBytes;
  std::string value(length, '\0');
  const Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int written = 0;
  CHECK(EVP_DecryptInit_ex2(context.get(), EVP_aes_256_gcm(), in(key->bytes), in(*content),
                            nullptr) == 1);
  CHECK(EVP_DecryptUpdate(context.get(), nullptr, &written, in(place), size(place)) == 1);
  CHECK(EVP_DecryptUpdate(context.get(), out(value), &written, in(*content) + kNonceBytes,
                          static_cast<int>(length)) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes,
                            out(*content, kNonceBytes + length)) == 1);
  if (EVP_DecryptFinal_ex(context.get(), out(value, length), &written) != 1) return broken;
  return value;
}

}  // namespace frameworks
