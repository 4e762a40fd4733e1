#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "cli/commands.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string file;
  std::string state;
  std::string store;
  std::string store_file;
  std::string passphrase_file;
  bool accept_broken_audit = false;
};

// Beside this program, else wherever programs are found.
std::string server_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto beside = self.parent_path() / "quartermaster";
  return !error && access(beside.c_str(), X_OK) == 0 ? beside.string() : "quartermaster";
}

// The store is the server's: this program becomes it for the purpose.
Result<int> restore(Context& context, const Options& options) {
  std::vector<std::string> words{server_program(), "restore", options.file, "--state",
                                 options.state,    "--log",   "warn"};
  if (!options.passphrase_file.empty()) {
    words.emplace_back("--passphrase-file");
    words.push_back(options.passphrase_file);
  }
  for (const auto& [option, value] :
       {std::pair{"--store", options.store}, std::pair{"--store-file", options.store_file}}) {
    if (value.empty()) continue;
    words.emplace_back(option);
    words.push_back(value);
  }
  if (options.accept_broken_audit) words.emplace_back("--accept-broken-audit");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  context.terminal.out.flush();
  execvp(argv[0], argv.data());
  return Error(Code::kFailedPrecondition,
               fmt::format("{}: {}: run this where the server is installed", words[0],
                           std::strerror(errno)));
}

}  // namespace

Command restore_command() {
  return {
      .name = "restore",
      .summary = "Make a server's state folder from a backup",
      .help = "Runs `quartermaster restore` on this host: the server need not run, and the folder must be\n"
              "new or empty. Start quartermaster on it afterwards, and never beside the old server. Nodes\n"
              "and clients trust it as before: it has the same CA.",
      .examples = {{"restore fleet.backup --state /var/lib/frameworks --passphrase-file passphrase",
                    "an encrypted one"},
                   {"restore fleet.backup --state /var/lib/frameworks --store postgresql://fleet@db-1/fleet",
                    "into a database"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "The archive")->required();
        app.add_option("--state", options->state, "Folder to make")->required();
        app.add_option("--store", options->store,
                       "Empty database to fill, for several servers: postgresql://USER@HOST/DATABASE "
                       "[a file in STATE]");
        app.add_option("--store-file", options->store_file,
                       "File with what --store takes, password included");
        app.add_option("--passphrase-file", options->passphrase_file,
                       "Its first line opens an encrypted archive");
        app.add_flag("--accept-broken-audit", options->accept_broken_audit,
                     "Restore also when the audit log was no longer as it was written");
        return [options](Context& context) { return restore(context, *options); };
      },
  };
}

}  // namespace frameworks::cli
