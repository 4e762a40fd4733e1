#include "control/operation_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/json.h"

namespace frameworks {
namespace {

constexpr size_t kReadBytes = 65'536;

Result<pb::OperationEvent> parse_event(std::string_view line, const std::string& file) {
  pb::OperationEvent event;
  Result<boost::json::value> json = parse_json(line);
  if (json) {
    if (const Status parsed = from_json(*json, event); parsed) return event;
  }
  return Error(Code::kDataLoss,
               fmt::format("{}: a line is no event: {}", file, line.substr(0, 80)));
}

// Appends what is at `offset` to `out`; false at the end.
Result<bool> read_at(int fd, int64_t offset, std::string& out) {
  const size_t old = out.size();
  out.resize(old + kReadBytes);
  const ssize_t n = pread(fd, out.data() + old, kReadBytes, offset);
  out.resize(old + static_cast<size_t>(std::max<ssize_t>(n, 0)));
  if (n < 0) return errno_error("read events");
  return n > 0;
}

}  // namespace

Result<OperationJournal> OperationJournal::open(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return errno_error(fmt::format("open {}", path.string()));
  std::string content;
  while (true) {
    ASSIGN_OR_RETURN(const bool more,
                     read_at(fd.get(), static_cast<int64_t>(content.size()), content));
    if (!more) break;
  }
  // A power cut may also leave zeros, or whole lines of a page that never got there: keep what
  // reads.
  size_t size = 0;
  int64_t sequence = 0;
  for (size_t end; (end = content.find('\n', size)) != std::string::npos; size = end + 1) {
    const auto event =
        parse_event(std::string_view(content).substr(size, end - size), path.string());
    if (!event || event->sequence() != sequence + 1) break;
    sequence = event->sequence();
  }
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return errno_error(fmt::format("truncate {}", path.string()));
  return OperationJournal(std::move(fd), path.string(), static_cast<int64_t>(size), sequence);
}

Status OperationJournal::append(pb::OperationEvent& event) {
  event.set_sequence(sequence_ + 1);
  const std::string line = json_text(to_json(event)) + "\n";
  const ssize_t n = pwrite(fd_.get(), line.data(), line.size(), size_);
  if (n != static_cast<ssize_t>(line.size())) {
    const Error error = n < 0
                            ? errno_error(fmt::format("write {}", name_))
                            : Error(Code::kResourceExhausted, fmt::format("{}: disk full", name_));
    if (ftruncate(fd_.get(), size_) != 0) return errno_error(fmt::format("truncate {}", name_));
    return error;
  }
  size_ += static_cast<int64_t>(line.size());
  ++sequence_;
  return {};
}

Status OperationJournal::sync() {
  if (fdatasync(fd_.get()) != 0) return errno_error(fmt::format("sync {}", name_));
  return {};
}

Status OperationJournalReader::fill() {
  if (!fd_.valid()) {
    fd_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd_.valid() && errno == ENOENT) return {};
    if (!fd_.valid()) return errno_error(fmt::format("open {}", path_.string()));
  }
  while (buffer_.find('\n') == std::string::npos) {
    const auto end = offset_ + static_cast<int64_t>(buffer_.size());
    ASSIGN_OR_RETURN(const bool more, read_at(fd_.get(), end, buffer_));
    if (!more) break;
  }
  return {};
}

Result<std::vector<pb::OperationEvent>> OperationJournalReader::next(size_t limit) {
  std::vector<pb::OperationEvent> out;
  bool is_refilled = false;
  while (out.size() < limit) {
    const size_t end = buffer_.find('\n');
    if (end == std::string::npos) {
      if (is_refilled) break;
      // The unfinished rest is read again, for it may have been cut off and written anew meanwhile.
      buffer_.clear();
      RETURN_IF_ERROR(fill());
      is_refilled = buffer_.find('\n') == std::string::npos;
      continue;
    }
    ASSIGN_OR_RETURN(pb::OperationEvent event,
                     parse_event(std::string_view(buffer_).substr(0, end), path_.string()));
    buffer_.erase(0, end + 1);
    offset_ += static_cast<int64_t>(end) + 1;
    if (event.sequence() > after_) out.push_back(std::move(event));
  }
  return out;
}

}  // namespace frameworks
