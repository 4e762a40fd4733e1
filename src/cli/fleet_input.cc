#include "cli/fleet_input.h"

#include <iostream>
#include <iterator>

#include "model/pack.h"

namespace frameworks::cli {

void add_file_option(CLI::App& app, std::vector<std::string>& paths) {
  app.add_option("-f,--file", paths, "Fleet file, folder of them, or - for standard input")
      ->required()
      ->type_name("PATH");
}

Result<std::vector<Document>> read_input(const std::vector<std::string>& paths) {
  if (paths != std::vector<std::string>{"-"}) return load_fleet(paths);
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  return parse_documents(text, "stdin");
}

pb::ApplyRequest apply_request(const std::vector<Document>& documents) {
  pb::ApplyRequest out;
  for (const Document& document : documents) {
    pb::FleetItem& item = *out.add_items();
    *item.mutable_resource() = pack(document.resource);
    item.mutable_origin()->set_file(document.file);
    item.mutable_origin()->set_line(document.line);
  }
  return out;
}

Error with_lines(const Error& error, const std::vector<Document>& documents) {
  if (error.violations().empty()) return error;
  const Origins origins(documents);
  std::vector<Violation> violations = error.violations();
  for (Violation& violation : violations) origins.place(violation);
  return Error::invalid(std::move(violations));
}

}  // namespace frameworks::cli
