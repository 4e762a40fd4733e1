// Looks at one resource until it is as wanted, and tells of each change.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/command.h"
#include "model/registry.h"

namespace frameworks::cli {

struct Followed {
  // What is to be told of it now; the same as before is told once. With --json the resource itself
  // is told, a line each time that this changes.
  std::function<std::string(const Resource&)> text;
  // The exit code when there is nothing more to wait for.
  std::function<std::optional<int>(const Resource&)> end;
};

// Until `end`, or until interrupted (130): what was asked for goes on in the server all the same. A
// server that is away is waited for.
Result<int> follow_resource(Context& context, Client& client, const Kind& kind,
                            const std::string& name, const Followed& followed);

}  // namespace frameworks::cli
