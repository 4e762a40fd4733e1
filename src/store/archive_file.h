// An archive in a file, sealed or not.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "store/archive.h"

namespace frameworks {

// The first line of a file; kInvalidArgument when it is empty.
Result<std::string> read_passphrase(const std::filesystem::path& path);

class ArchiveFile {
 public:
  virtual ~ArchiveFile() = default;
  // kInvalidArgument: it is sealed and no passphrase was given, or the other way round.
  // kPermissionDenied: the passphrase is wrong.
  static Result<std::unique_ptr<ArchiveFile>> open(const std::filesystem::path& path,
                                                   const std::optional<std::string>& passphrase);
  [[nodiscard]] virtual bool sealed() const = 0;
  virtual ArchiveReader& reader() = 0;
};

}  // namespace frameworks
