#include "cli/written.h"

#include <fmt/format.h>

#include "cli/plan_text.h"
#include "cli/progress.h"
#include "model/json.h"

namespace frameworks::cli {

Result<int> show_written(Context& context, Client& client, const pb::ApplyResponse& response,
                         bool dry_run, Follow follow) {
  const Terminal& terminal = context.terminal;
  const bool running = !response.operation().empty();
  if (context.json) {
    terminal.out << json_text(to_json(response)) << "\n";
    terminal.out.flush();
  } else {
    if (!running || !response.plan().steps().empty())
      print_plan(response.plan(), terminal, Detail::kChanges);
    if (dry_run) return kExitOk;
    if (!response.plan().steps().empty())
      terminal.out << fmt::format("written as revision {}\n", response.revision());
    if (running)
      terminal.out << fmt::format(
          "operation {}{}\n", response.operation(),
          follow == Follow::kNot ? fmt::format(": follow it with `frameworks operation watch {}`",
                                               response.operation())
                                 : "");
    terminal.out.flush();
  }
  if (dry_run || !running || follow == Follow::kNot) return kExitOk;
  return follow_operation(context, client, response.operation());
}

}  // namespace frameworks::cli
