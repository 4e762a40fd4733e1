// `quartermaster restore`: the one thing that the program does beside serving.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/log.h"
#include "server/restore.h"
#include "server/store_choice.h"
#include "store/archive_file.h"

namespace frameworks {
namespace {

constexpr const char* kHelp = R"(
The folder must be new or empty, and becomes one that quartermaster can be started on: the fleet with
its revision, the audit log, the CA and its key, tokens. Nodes and clients that trusted the server
before trust it again. Do not start it while the old server runs: both would write to the world.

Examples:
  quartermaster restore fleet.backup --state /var/lib/frameworks --passphrase-file passphrase
  quartermaster restore fleet.backup --state /var/lib/frameworks --store postgresql://fleet@db-1/fleet
)";

}  // namespace

int restore_main(int argc, char** argv) {
  RestoreRequest request;
  std::string passphrase_file;
  std::string store_file;
  std::string log = "info";
  CLI::App app("Restores a fleet from an archive of \"frameworks backup\".",
               "quartermaster restore");
  app.footer(kHelp);
  app.add_option("FILE", request.archive, "The archive")->required();
  app.add_option("--state", request.state, "Folder to make")->required();
  app.add_option("--store", request.store,
                 "Empty database to fill, postgresql://USER@HOST/DATABASE [a file in STATE]");
  app.add_option("--store-file", store_file,
                 "File with what --store takes, password included; also FRAMEWORKS_STORE");
  app.add_option("--passphrase-file", passphrase_file, "Its first line opens an encrypted archive");
  app.add_flag("--accept-broken-audit", request.accept_broken_audit,
               "Restore also when the audit log was no longer as it was written");
  app.add_option("--log", log, "debug, info, warn or error")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  init_logging("quartermaster", log);
  if (const auto chosen = choose_store(store_file, request.store); !chosen) {
    spdlog::error("{}", chosen.error().text());
    return 2;
  }
  if (!passphrase_file.empty()) {
    auto passphrase = read_passphrase(passphrase_file);
    if (!passphrase) {
      spdlog::error("{}", passphrase.error().text());
      return 2;
    }
    request.passphrase = *std::move(passphrase);
  }
  const auto done = restore(request, [](Revision at, Revision of) {
    spdlog::debug("restored up to revision {} of {}", at, of);
  });
  if (!done) {
    spdlog::error("nothing was restored: {}", done.error().text());
    return done.error().code() == Code::kInvalidArgument ? 2 : 1;
  }
  std::printf("restored %s: %lld resources at revision %lld, %lld audit entries, %lld files\n",
              request.state.c_str(), static_cast<long long>(done->objects),
              static_cast<long long>(done->revision), static_cast<long long>(done->audit_rows),
              static_cast<long long>(done->files));
  return 0;
}

}  // namespace frameworks
