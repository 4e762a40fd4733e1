#include "store/sealed_stream.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>

#include "base/text.h"

namespace frameworks {
namespace {

constexpr std::string_view kMagic = "FWSEALED";
static_assert(kMagic.size() == kSealMagicBytes);
constexpr unsigned char kVersion = 1;
constexpr int kMinCost = 10;
constexpr int kBlock = 8;
constexpr int kParallel = 1;
// A file from elsewhere may ask for this much at most: 1 GiB.
constexpr int kMaxCost = 20;
constexpr size_t kSaltBytes = 16;
constexpr size_t kHeaderBytes = kSealMagicBytes + 4 + kSaltBytes;
constexpr size_t kFrame = size_t{64} << 10;
constexpr size_t kTag = 16;
constexpr uint32_t kLastMark = 0x8000'0000;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::string big_endian(uint32_t number) {
  std::string out(4, '\0');
  for (size_t i = 0; i < 4; ++i) out[i] = static_cast<char>((number >> (24 - 8 * i)) & 0xff);
  return out;
}

Error damaged(std::string_view what) {
  return Error(Code::kDataLoss, fmt::format("the sealed file is damaged: {}", what));
}

}  // namespace

// The key of one file, and the number of the next frame.
class StreamKey {
 public:
  static Result<std::unique_ptr<StreamKey>> derive(std::string header, std::string_view passphrase) {
    const auto field = [&](size_t i) {
      return static_cast<unsigned char>(header[kSealMagicBytes + i]);
    };
    if (field(0) != kVersion)
      return Error(Code::kFailedPrecondition,
                   fmt::format("the file is sealed in version {}, this program knows {}", field(0),
                               kVersion));
    const int cost = field(1);
    if (cost < kMinCost || cost > kMaxCost || field(2) != kBlock || field(3) != kParallel)
      return damaged("its header asks for what no program writes");
    auto out = std::unique_ptr<StreamKey>(new StreamKey(std::move(header)));
    const std::string_view salt = std::string_view(out->header_).substr(kSealMagicBytes + 4);
    const uint64_t rounds = uint64_t{1} << cost;
    if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(), bytes_of(salt), salt.size(), rounds,
                       kBlock, kParallel, rounds * kBlock * 128 + (1 << 20), out->key_.data(),
                       out->key_.size()) != 1)
      return Error(Code::kResourceExhausted,
                   fmt::format("no memory for a key from a passphrase ({} MiB)", rounds / 1024));
    return out;
  }
  ~StreamKey() {
    OPENSSL_cleanse(key_.data(), key_.size());
    EVP_CIPHER_CTX_free(context_);
  }
  StreamKey(const StreamKey&) = delete;
  StreamKey& operator=(const StreamKey&) = delete;

  [[nodiscard]] const std::string& header() const { return header_; }

  // Size, ciphertext and tag.
  std::string seal(std::string_view plain, bool last) {
    const std::string size = big_endian(static_cast<uint32_t>(plain.size()) | (last ? kLastMark : 0));
    const auto nonce = next_nonce();
    int done = 0;
    std::string cipher(plain.size(), '\0');
    std::string tag(kTag, '\0');
    CHECK(EVP_EncryptInit_ex(context_, EVP_aes_256_gcm(), nullptr, key_.data(), nonce.data()) == 1);
    for (const std::string_view part : {std::string_view(header_), std::string_view(size)})
      CHECK(EVP_EncryptUpdate(context_, nullptr, &done, bytes_of(part),
                              static_cast<int>(part.size())) == 1);
    if (!plain.empty())
      CHECK(EVP_EncryptUpdate(context_, bytes_of(cipher), &done, bytes_of(plain),
                              static_cast<int>(plain.size())) == 1);
    CHECK(EVP_EncryptFinal_ex(context_, nullptr, &done) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_GCM_GET_TAG, kTag, tag.data()) == 1);
    return size + cipher + tag;
  }

  // False: it is not what was sealed.
  bool open(std::string_view size, std::string_view cipher, std::string& tag, std::string& plain) {
    const auto nonce = next_nonce();
    int done = 0;
    plain.assign(cipher.size(), '\0');
    CHECK(EVP_DecryptInit_ex(context_, EVP_aes_256_gcm(), nullptr, key_.data(), nonce.data()) == 1);
    for (const std::string_view part : {std::string_view(header_), size})
      CHECK(EVP_DecryptUpdate(context_, nullptr, &done, bytes_of(part),
                              static_cast<int>(part.size())) == 1);
    if (!cipher.empty())
      CHECK(EVP_DecryptUpdate(context_, bytes_of(plain), &done, bytes_of(cipher),
                              static_cast<int>(cipher.size())) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) == 1);
    return EVP_DecryptFinal_ex(context_, nullptr, &done) == 1;
  }

 private:
  explicit StreamKey(std::string header) : header_(std::move(header)), context_(EVP_CIPHER_CTX_new()) {
    CHECK(context_ != nullptr);
  }
  std::array<unsigned char, 12> next_nonce() {
    std::array<unsigned char, 12> out{};
    const uint64_t number = frame_++;
    for (size_t i = 0; i < 8; ++i)
      out[4 + i] = static_cast<unsigned char>((number >> (56 - 8 * i)) & 0xff);
    return out;
  }

  const std::string header_;
  std::array<unsigned char, 32> key_{};
  EVP_CIPHER_CTX* context_;
  uint64_t frame_ = 0;
};

bool is_sealed_file(std::string_view first_bytes) { return first_bytes.starts_with(kMagic); }

SealWriter::SealWriter(std::unique_ptr<StreamKey> key) : key_(std::move(key)) {}
SealWriter::SealWriter(SealWriter&&) noexcept = default;
SealWriter::~SealWriter() = default;

Result<SealWriter> SealWriter::make(std::string_view passphrase, int cost) {
  std::string header(kMagic);
  for (const int part : {int{kVersion}, cost, kBlock, kParallel})
    header += static_cast<char>(part);
  header += random_bytes(kSaltBytes);
  ASSIGN_OR_RETURN(std::unique_ptr<StreamKey> key, StreamKey::derive(header, passphrase));
  SealWriter out(std::move(key));
  out.head_ = header + out.key_->seal({}, false);
  return out;
}

void SealWriter::add(std::string_view bytes, std::string& out) {
  out += std::exchange(head_, {});
  waiting_ += bytes;
  size_t at = 0;
  for (; waiting_.size() - at > kFrame; at += kFrame)
    out += key_->seal(std::string_view(waiting_).substr(at, kFrame), false);
  waiting_.erase(0, at);
}

void SealWriter::end(std::string& out) {
  out += std::exchange(head_, {});
  out += key_->seal(waiting_, true);
  waiting_.clear();
}

SealReader::SealReader(ByteSource& source) : bytes_(source) {}
SealReader::~SealReader() = default;

Result<std::unique_ptr<SealReader>> SealReader::open(ByteSource& source,
                                                     std::string_view passphrase) {
  auto out = std::unique_ptr<SealReader>(new SealReader(source));
  ASSIGN_OR_RETURN(const std::string header, out->bytes_.take(kHeaderBytes));
  if (!is_sealed_file(header)) return Error(Code::kFailedPrecondition, "the file is not sealed");
  if (header.size() < kHeaderBytes) return damaged("it ends early");
  ASSIGN_OR_RETURN(out->key_, StreamKey::derive(header, passphrase));
  if (const auto first = out->read_frame(); !first)
    return Error(Code::kPermissionDenied,
                 "the passphrase is wrong, or the first bytes of the file are damaged");
  return out;
}

Result<std::string> SealReader::read_frame() {
  ASSIGN_OR_RETURN(const std::string prefix, bytes_.take(4));
  if (prefix.size() < 4) return damaged("it ends early");
  uint32_t size = 0;
  for (const char c : prefix) size = (size << 8) | static_cast<unsigned char>(c);
  last_ = (size & kLastMark) != 0;
  size &= ~kLastMark;
  if (size > kFrame) return damaged("a frame is too large");
  ASSIGN_OR_RETURN(const std::string cipher, bytes_.take(size));
  ASSIGN_OR_RETURN(std::string tag, bytes_.take(kTag));
  if (tag.size() < kTag) return damaged("it ends early");
  std::string plain;
  if (!key_->open(prefix, cipher, tag, plain)) return damaged("bytes were changed");
  return plain;
}

Result<std::string> SealReader::read() {
  if (last_) return std::string();
  ASSIGN_OR_RETURN(std::string plain, read_frame());
  if (last_) {
    ASSIGN_OR_RETURN(const std::string rest, bytes_.take(1));
    if (!rest.empty()) return damaged("something follows its end");
  } else if (plain.empty()) {
    return damaged("a frame is empty");
  }
  return plain;
}

}  // namespace frameworks
