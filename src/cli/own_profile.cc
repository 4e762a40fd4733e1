#include "cli/own_profile.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTokenPrefix = "fwt_";

Status check_is_ours(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return {};
  ASSIGN_OR_RETURN(const std::string text, read_file(path));
  if (trim(text).empty() || text.starts_with(kTokenPrefix)) return {};
  return Error(Code::kFailedPrecondition,
               fmt::format("{} holds something else than a log-in's token: name another file with "
                           "--token-file",
                           path.string()));
}

Result<fs::path> own_folder() {
  const fs::path profile = own_profile_path();
  if (profile.empty())
    return Error(Code::kFailedPrecondition, "no HOME is known: name a file with --token-file");
  const fs::path folder = profile.parent_path();
  std::error_code error;
  if (fs::exists(folder, error)) return folder;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return Error(Code::kFailedPrecondition, folder.string() + ": " + error.message());
  return folder;
}

// The profile with what is now true; what else it has stays.
Status write_profile(const Profile& used, const fs::path& token) {
  const fs::path path = own_profile_path();
  boost::json::object profile;
  std::error_code error;
  if (fs::exists(path, error)) {
    ASSIGN_OR_RETURN(const std::string text, read_file(path));
    const auto json = parse_json(text);
    if (!json || !json->is_object())
      return Error(Code::kFailedPrecondition,
                   fmt::format("{}: not a JSON object: mend it, or remove it", path.string()));
    profile = json->get_object();
  }
  profile["server"] = used.server;
  profile["caFile"] = fs::absolute(used.ca_file).string();
  profile["tokenFile"] = token.string();
  return write_file(path, pretty_json(profile) + "\n", 0600);
}

}  // namespace

Result<std::string> keep_login(const Profile& given, const Profile& used, std::string_view token) {
  const bool own = given.token_file.empty();
  fs::path path = given.token_file;
  if (own) {
    ASSIGN_OR_RETURN(const fs::path folder, own_folder());
    path = folder / "token";
  }
  RETURN_IF_ERROR(check_is_ours(path));
  RETURN_IF_ERROR(write_file(path, std::string(token) + "\n", 0600));
  if (own) RETURN_IF_ERROR(write_profile(used, path));
  return path.string();
}

Status forget_login(const Profile& used) {
  std::error_code error;
  if (!fs::exists(used.token_file, error)) return {};
  RETURN_IF_ERROR(check_is_ours(used.token_file));
  fs::remove(used.token_file, error);
  if (error) return Error(Code::kInternal, used.token_file + ": " + error.message());
  return {};
}

}  // namespace frameworks::cli
