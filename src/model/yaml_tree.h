// YAML text to trees, within bounds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/tree.h"

namespace frameworks {

struct YamlStream {
  std::vector<Tree> documents;        // empty documents are left out
  std::vector<Violation> violations;  // file is not set
};

YamlStream parse_yaml(std::string_view text);

}  // namespace frameworks
