#include "store/archive_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "store/sealed_stream.h"

namespace frameworks {
namespace {

constexpr size_t kPiece = size_t{256} << 10;

class FileSource final : public ByteSource {
 public:
  FileSource(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<std::string> read() override {
    std::string out(kPiece, '\0');
    ssize_t got = -1;
    do {
      got = ::read(fd_.get(), out.data(), out.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return errno_error("read " + name_);
    out.resize(static_cast<size_t>(got));
    return out;
  }

 private:
  Fd fd_;
  std::string name_;
};

Result<std::unique_ptr<FileSource>> open_source(const std::filesystem::path& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error("open " + path.string());
  return std::make_unique<FileSource>(std::move(fd), path.string());
}

class Opened final : public ArchiveFile {
 public:
  Opened(std::unique_ptr<FileSource> file, std::unique_ptr<SealReader> seal)
      : file_(std::move(file)),
        seal_(std::move(seal)),
        reader_(seal_ != nullptr ? static_cast<ByteSource&>(*seal_) : *file_) {}
  bool sealed() const override { return seal_ != nullptr; }
  ArchiveReader& reader() override { return reader_; }

 private:
  std::unique_ptr<FileSource> file_;
  std::unique_ptr<SealReader> seal_;
  ArchiveReader reader_;
};

}  // namespace

Result<std::string> read_passphrase(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(std::string text, read_file(path));
  text = text.substr(0, text.find_first_of("\r\n"));
  if (text.empty())
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: its first line is empty: write the passphrase there",
                             path.string()));
  return text;
}

Result<std::unique_ptr<ArchiveFile>> ArchiveFile::open(
    const std::filesystem::path& path, const std::optional<std::string>& passphrase) {
  ASSIGN_OR_RETURN(const auto look, open_source(path));
  ASSIGN_OR_RETURN(const std::string first, look->read());
  if (is_sealed_file(first) != passphrase.has_value())
    return Error(Code::kInvalidArgument,
                 passphrase ? fmt::format("{} is not encrypted: leave out the passphrase",
                                          path.string())
                            : fmt::format("{} is encrypted: give --passphrase-file",
                                          path.string()));
  ASSIGN_OR_RETURN(auto source, open_source(path));
  std::unique_ptr<SealReader> seal;
  if (passphrase) {
    ASSIGN_OR_RETURN(seal, SealReader::open(*source, *passphrase));
  }
  return std::unique_ptr<ArchiveFile>(
      std::make_unique<Opened>(std::move(source), std::move(seal)));
}

}  // namespace frameworks
