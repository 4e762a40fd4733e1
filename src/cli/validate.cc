#include <fmt/format.h>

#include <map>

#include "cli/commands.h"
#include "cli/fleet_input.h"
#include "model/json.h"

namespace frameworks::cli {

Command validate_command() {
  return {
      .name = "validate",
      .summary = "Check fleet files without a server",
      .help =
          "Reads the files as a whole fleet and prints every violation with file, line, field and "
          "next\n"
          "step. Exits with 2 when there are any.",
      .examples = {{"validate -f fleets/demo", "all files of a folder"},
                   {"validate -f a.yaml -f b.yaml", "several files as one fleet"}},
      .setup = [](CLI::App& app) -> Run {
        auto paths = std::make_shared<std::vector<std::string>>();
        app.add_option("-f,--file", *paths, "Fleet file or folder of them")
            ->required()
            ->type_name("PATH");
        return [paths](Context& context) -> Result<int> {
          ASSIGN_OR_RETURN(const std::vector<Document> documents, check_fleet(*paths));
          std::map<std::string, int> kinds;
          for (const Document& document : documents) ++kinds[document.resource.kind().plural];
          if (context.json) {
            boost::json::object out;
            for (const auto& [kind, count] : kinds) out[kind] = count;
            context.terminal.out << json_text(boost::json::object{{"valid", out}}) << "\n";
            return kExitOk;
          }
          std::string text;
          for (const auto& [kind, count] : kinds)
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kind);
          context.terminal.out << "valid: " << (text.empty() ? "nothing in it" : text) << "\n";
          return kExitOk;
        };
      },
  };
}

}  // namespace frameworks::cli
