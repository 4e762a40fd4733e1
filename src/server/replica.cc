#include "server/replica.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "server/acceptor.h"
#include "store/postgres.h"

namespace frameworks {
namespace {

// Which keys all servers have alike. ca.key belongs to ca.pem.
constexpr std::array<std::string_view, 3> kSharedFiles{"ca.pem", "admin.token", "secrets.key"};

// What stays the same: of the keys for secrets, the oldest, which is in the last line.
std::string_view lasting_part(std::string_view file, std::string_view content) {
  const std::string_view text = trim(content);
  return file == "secrets.key" ? text.substr(text.rfind('\n') + 1) : text;
}

Error other_keys(const std::filesystem::path& state, std::string_view file, std::string_view why) {
  return {
      Code::kFailedPrecondition,
      fmt::format("{}: {}: copy ca.pem, ca.key, admin.token and secrets.key from the state folder "
                  "of a server that works (docs/operations.md)",
                  (state / file).string(), why)};
}

}  // namespace

std::string replica_name(const QuartermasterOptions& options) {
  if (!options.replica.empty()) return options.replica;
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  const auto at = parse_host_port(options.listen_grpc);
  return fmt::format("{}:{}", host.data(), at ? at->port : 0);
}

Status require_keys(SharedLog& log, const std::filesystem::path& state) {
  for (const std::string_view file : kSharedFiles) {
    ASSIGN_OR_RETURN(const std::string kept, log.kept(std::string(file)));
    if (!kept.empty() && !std::filesystem::exists(state / file))
      return other_keys(state, file, "is missing, and the fleet has one");
  }
  return {};
}

Status compare_keys(SharedLog& log, const std::filesystem::path& state) {
  for (const std::string_view file : kSharedFiles) {
    if (!std::filesystem::exists(state / file)) continue;  // not made yet
    ASSIGN_OR_RETURN(const std::string bytes, read_file(state / file));
    const std::string hash = sha256_hex(lasting_part(file, bytes));
    ASSIGN_OR_RETURN(const std::string kept, log.keep(std::string(file), hash));
    if (kept != hash) return other_keys(state, file, "is not the one of this fleet");
  }
  return {};
}

}  // namespace frameworks
