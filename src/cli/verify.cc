#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "model/json.h"
#include "store/archive_file.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string file;
  std::string passphrase_file;
};

void print(const Context& context, const Options& options, const pb::ArchiveHeader& header,
           ArchiveFile& archive) {
  const pb::ArchiveEnd& counts = archive.reader().counts();
  const AuditCheck& audit = archive.reader().audit();
  const WallTime time{std::chrono::microseconds(header.time_us())};
  const WallTime made{std::chrono::microseconds(header.made_us())};
  if (context.json) {
    boost::json::object out{{"file", options.file},
                            {"encrypted", archive.sealed()},
                            {"revision", header.revision()},
                            {"revisionTime", rfc3339(time)},
                            {"made", rfc3339(made)},
                            {"program", header.program()},
                            {"objects", counts.objects()},
                            {"files", counts.files()},
                            {"auditEntries", audit.entries()},
                            {"auditHash", hex_encode(audit.head().hash)},
                            {"auditProblem", archive.reader().audit_problem()}};
    context.terminal.out << pretty_json(out) << "\n";
    return;
  }
  context.terminal.out << fmt::format(
      "{}: whole{}\nmade       {} by version {}\nrevision   {}, written {}\nresources  {}\n"
      "files      {}\naudit      {} entries, revisions {} to {}\n           {}:{}\n",
      options.file, archive.sealed() ? ", encrypted" : ", NOT encrypted", rfc3339(made),
      header.program(), header.revision(), rfc3339(time), counts.objects(), counts.files(),
      audit.entries(), audit.start() + 1, revision_of(audit.head().position),
      revision_of(audit.head().position), hex_encode(audit.head().hash));
}

Result<int> verify(Context& context, const Options& options) {
  std::optional<std::string> passphrase;
  if (!options.passphrase_file.empty()) {
    ASSIGN_OR_RETURN(passphrase, read_passphrase(options.passphrase_file));
  }
  ASSIGN_OR_RETURN(const auto archive, ArchiveFile::open(options.file, passphrase));
  ArchiveReader& reader = archive->reader();
  ASSIGN_OR_RETURN(const pb::ArchiveHeader header, reader.header());
  while (true) {
    ASSIGN_OR_RETURN(const auto record, reader.next());
    if (!record) break;
  }
  print(context, options, header, *archive);
  if (reader.audit_problem().empty()) return kExitOk;
  return Error(Code::kDataLoss, fmt::format("the archive is whole, the audit log in it is not as it "
                                            "was written: {}",
                                            reader.audit_problem()));
}

}  // namespace

Command verify_command() {
  return {
      .name = "verify",
      .summary = "Check that a backup is whole",
      .help = "Reads all of it: passphrase, checksums, every resource, the chain of the audit log. Needs\n"
              "no server. That it can be restored is proven by restoring it into a scratch folder.",
      .examples = {{"verify fleet.backup --passphrase-file passphrase", "an encrypted one"},
                   {"verify fleet.backup --json", "for programs"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "The archive")->required();
        app.add_option("--passphrase-file", options->passphrase_file,
                       "Its first line opens an encrypted archive");
        return [options](Context& context) { return verify(context, *options); };
      },
  };
}

}  // namespace frameworks::cli
