// `frameworks-hostd check`: can this host run machines? Each requirement is tried, not looked up.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace frameworks::hostd {

struct Requirement {
  std::string name;  // "root", "namespaces", "overlayfs", ...
  bool met = false;
  std::string message;  // what was found, or what is missing and what to do
};

// Leaves nothing behind. `scratch` is a directory on the file system that will hold the disks, or
// whose nearest existing parent does.
std::vector<Requirement> check_requirements(const std::filesystem::path& scratch);

}  // namespace frameworks::hostd
