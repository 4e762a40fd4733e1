// `frameworks-hostd down`: removes everything that an instance has made, whether its daemon lives
// or was killed at any point, and nothing else. Idempotent.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/error.h"

namespace frameworks::hostd {

// `say` gets a line for each step that had something to do.
Status sweep(const std::string& instance, const std::filesystem::path& state,
             const std::function<void(const std::string&)>& say);

}  // namespace frameworks::hostd
