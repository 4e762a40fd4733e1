// Bytes under a passphrase: scrypt (RFC 7914) makes the key, AES-256-GCM (NIST SP 800-38D) keeps each
// frame secret and unchanged. A frame's number is its nonce and the last is marked, so that frames
// cannot be swapped, dropped or cut off (the STREAM construction).
//
//   "FWSEALED" version(1) log2 N(1) r(1) p(1) salt(16), then frames:
//   size and mark(4, big-endian: highest bit: the last) ciphertext(size) tag(16)
//
// The first frame is empty: it says whether the passphrase is right. Header and size are
// authenticated with every frame.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "store/byte_source.h"

namespace frameworks {

class StreamKey;

// log2 of scrypt's N: a moment and 64 MiB, which is what each guess costs, too.
inline constexpr int kSealCost = 16;

class SealWriter {
 public:
  // `cost` 10 to 20.
  static Result<SealWriter> make(std::string_view passphrase, int cost = kSealCost);
  SealWriter(SealWriter&&) noexcept;
  ~SealWriter();

  // Appends what is ready to `out`; nothing may follow the end.
  void add(std::string_view bytes, std::string& out);
  void end(std::string& out);

 private:
  explicit SealWriter(std::unique_ptr<StreamKey> key);
  std::unique_ptr<StreamKey> key_;
  std::string head_;
  std::string waiting_;
};

// Whether the first bytes of a file say that it is sealed.
bool is_sealed_file(std::string_view first_bytes);
inline constexpr size_t kSealMagicBytes = 8;

class SealReader final : public ByteSource {
 public:
  // `source`: from the first byte on. kPermissionDenied: the passphrase is another (or the first
  // bytes are damaged: the two cannot be told apart).
  static Result<std::unique_ptr<SealReader>> open(ByteSource& source, std::string_view passphrase);
  ~SealReader() override;
  // kDataLoss: bytes were changed or are missing, or follow the end.
  Result<std::string> read() override;

 private:
  explicit SealReader(ByteSource& source);
  Result<std::string> read_frame();

  ByteReader bytes_;
  std::unique_ptr<StreamKey> key_;
  bool last_ = false;
};

}  // namespace frameworks
