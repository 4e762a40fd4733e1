// Where a log-in is kept: ~/.config/frameworks, of whoever runs the program.
#pragma once

#include <string>
#include <string_view>

#include "cli/client.h"

namespace frameworks::cli {

// Keeps the token (0600) and, unless `given` names a token file of its own, the server, the CA and
// where the token is in the profile, for the commands to come. The token's file. A file that holds
// anything but a token of an account is left alone: kFailedPrecondition.
Result<std::string> keep_login(const Profile& given, const Profile& used, std::string_view token);

// Removes the token of a log-in that has ended. A file that holds anything else is left alone.
Status forget_login(const Profile& used);

}  // namespace frameworks::cli
