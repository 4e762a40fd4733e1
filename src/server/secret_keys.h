// The keys that secrets are sealed with: STATE/secrets.key, made at the first start.
//
// Without them the fleet's secrets are lost: a backup of the state needs them, in a place of their
// own. The first line seals, all open; every start seals anew what older keys sealed, and what is
// still clear.
#pragma once

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/seal.h"
#include "store/store.h"

namespace frameworks {

class SecretKeys {
 public:
  enum class Rotate { kNo, kYes };  // kYes: a new key takes over
  // Reads the file. Writes nothing yet.
  static Result<SecretKeys> load(const std::filesystem::path& state, Rotate rotate);

  // For Store::Options.
  [[nodiscard]] std::shared_ptr<const SealKeys> ring() const { return ring_; }

  // After the store was opened, before anything is written. kFailedPrecondition, with nothing
  // changed, when something in the fleet does not open: the file is missing, or another fleet's.
  Status settle(Store& store) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const SealKeys> ring_;
  bool unwritten_ = false;
  bool missing_ = false;
};

}  // namespace frameworks
