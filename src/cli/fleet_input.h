// Fleet files on their way to the server.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "model/documents.h"
#include "model/validate.h"

namespace frameworks::cli {

// Adds -f to the command.
void add_file_option(CLI::App& app, std::vector<std::string>& paths);

// Reads the files and folders; "-" is standard input.
Result<std::vector<Document>> read_input(const std::vector<std::string>& paths);

pb::ApplyRequest apply_request(const std::vector<Document>& documents);

// The server's violations with the very line of the field, which only we know.
Error with_lines(const Error& error, const std::vector<Document>& documents);

}  // namespace frameworks::cli
