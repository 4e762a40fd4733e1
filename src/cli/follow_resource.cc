#include "cli/follow_resource.h"

#include <fmt/format.h>

#include "cli/resources.h"
#include "model/json.h"

namespace frameworks::cli {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(500);

}  // namespace

Result<int> follow_resource(Context& context, Client& client, const Kind& kind,
                            const std::string& name, const Followed& followed) {
  context.on_interrupt();
  std::string told;
  while (true) {
    const auto found = get_resource(client, kind, {}, name);
    if (!found && found.error().code() != Code::kUnavailable) return found.error();
    const std::string text =
        found ? followed.text(*found) : fmt::format("{}: waiting for it", found.error().message());
    if (!text.empty() && text != told) {
      told = text;
      if (!context.json)
        context.terminal.out << text << "\n";
      else if (found)
        context.terminal.out << json_text(to_json(found->message())) << "\n";
      context.terminal.out.flush();
    }
    if (found)
      if (const auto code = followed.end(*found)) return *code;
    if (!context.clock.sleep_for(kLook, context.stop)) return kExitInterrupted;
  }
}

}  // namespace frameworks::cli
