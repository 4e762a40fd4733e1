// Whole small files.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace frameworks {

Result<std::string> read_file(const std::filesystem::path& path);

// Replaces the file so that a crash leaves the old content or the new, on disk when it returns.
// `mode` are the permission bits of the new file.
Status write_file(const std::filesystem::path& path, std::string_view content, unsigned mode = 0644);

// A directory of its own that is removed with the object; for tests and scratch work.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> make(std::string_view prefix = "frameworks");
  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace frameworks
