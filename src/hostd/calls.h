// `frameworks-hostd call`: one call of the service from a shell, request and response as JSON.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"

namespace frameworks::hostd {

// The response as JSON; kInvalidArgument for a method or a request that does not exist.
Result<std::string> call(const std::filesystem::path& socket, const std::string& method,
                         const std::string& request, std::chrono::milliseconds timeout);

}  // namespace frameworks::hostd
