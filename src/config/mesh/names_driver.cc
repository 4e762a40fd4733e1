#include "config/mesh/names_driver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/ip.h"

namespace frameworks {
namespace {

constexpr std::string_view kBegin = "# BEGIN frameworks mesh (written by frameworks-agent)";
constexpr std::string_view kEnd = "# END frameworks mesh";

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

// The file's syntax is lines and blanks: a name with either would become something else.
Result<std::string> block_of(const pb::NamesSection& section) {
  std::string out;
  if (section.records().empty()) return out;
  out = fmt::format("{}\n", kBegin);
  for (const pb::NameRecord& record : section.records()) {
    ASSIGN_OR_RETURN(const IpAddress address, IpAddress::parse(record.address()));
    for (const std::string& name : record.names())
      if (!is_name(name))
        return Error(Code::kInvalidArgument,
                     fmt::format("name of {}: not a host name", record.address()));
    if (record.names().empty()) continue;
    out += fmt::format("{} {}\n", address.text(), fmt::join(record.names(), " "));
  }
  return out += fmt::format("{}\n", kEnd);
}

// Whole lines only; a begin without an end (an interrupted editor) claims nothing but its own line.
std::string without_block(const std::string& content) {
  std::string out, held;
  bool inside = false;
  for (size_t begin = 0; begin < content.size();) {
    const size_t newline = content.find('\n', begin);
    const size_t end = newline == std::string::npos ? content.size() : newline + 1;
    const std::string line = content.substr(begin, end - begin);
    const std::string_view text = std::string_view(line).substr(0, line.find('\n'));
    if (text == kBegin) {
      out += std::exchange(held, {});
      inside = true;
    } else if (inside && text == kEnd) {
      held.clear();
      inside = false;
    } else {
      (inside ? held : out) += line;
    }
    begin = end;
  }
  return out + held;
}

Status write_in_place(const std::filesystem::path& path, std::string_view content) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return errno_error(fmt::format("open {}", path.string()));
  while (!content.empty()) {
    const ssize_t n = write(fd.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(fmt::format("write {}", path.string()));
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

unsigned mode_of(const std::filesystem::path& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0644;
}

}  // namespace

Status apply_names(const pb::NamesSection& section, const std::filesystem::path& hosts) {
  ASSIGN_OR_RETURN(const std::string block, block_of(section));
  std::string content;
  if (std::filesystem::exists(hosts)) {
    ASSIGN_OR_RETURN(content, read_file(hosts));
  }
  std::string wanted = without_block(content);
  if (!wanted.empty() && !wanted.ends_with('\n') && !block.empty()) wanted += '\n';
  wanted += block;
  if (wanted == content) return {};
  if (write_file(hosts, wanted, mode_of(hosts))) return {};
  std::error_code ignored;
  // A rename onto a mount point fails with the scratch file left beside it.
  std::filesystem::remove(hosts.string() + fmt::format(".{}.new", getpid()), ignored);
  return write_in_place(hosts, wanted);
}

}  // namespace frameworks
