#include <fmt/format.h>

#include "cli/commands.h"
#include "model/json.h"

namespace frameworks::cli {

Command version_command() {
  return {
      .name = "version",
      .summary = "Print the version of this program",
      .help = {},
      .examples = {{"version", "needs no server; `frameworks status` tells the server's"}},
      .setup = [](CLI::App&) -> Run {
        return [](Context& context) -> Result<int> {
          if (context.json)
            context.terminal.out << json_text(boost::json::object{{"version", FW_VERSION}}) << "\n";
          else
            context.terminal.out << "frameworks " << FW_VERSION << "\n";
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
