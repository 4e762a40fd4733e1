#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "base/fd.h"
#include "base/text.h"
#include "cli/commands.h"
#include "frameworks/v1/audit_api.grpc.pb.h"
#include "model/json.h"
#include "store/archive_file.h"
#include "store/sealed_stream.h"

namespace frameworks::cli {
namespace {

struct Options {
  std::string file;
  std::string passphrase_file;
  bool unencrypted = false;
  bool force = false;
};

// A new file that gets its name only when it is whole.
class NewFile {
 public:
  explicit NewFile(std::string path)
      : path_(std::move(path)), scratch_(fmt::format("{}.{}.partial", path_, getpid())) {}
  ~NewFile() {
    if (fd_.valid()) unlink(scratch_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  Status create() {
    fd_.reset(open(scratch_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd_.valid()) return errno_error("create " + scratch_);
    return {};
  }
  Status write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno_error("write " + scratch_);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return {};
  }
  Status publish(bool replace) {
    if (fsync(fd_.get()) != 0) return errno_error("sync " + scratch_);
    if (renameat2(AT_FDCWD, scratch_.c_str(), AT_FDCWD, path_.c_str(),
                  replace ? 0 : RENAME_NOREPLACE) != 0)
      return errno_error(fmt::format("rename {} to {}", scratch_, path_));
    fd_.reset();
    const auto parent = std::filesystem::path(path_).parent_path();
    const Fd folder(open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.valid()) fsync(folder.get());
    return {};
  }

 private:
  const std::string path_;
  const std::string scratch_;
  Fd fd_;
};

// The server's stream as it comes, written on the way: what is read from here is in the file.
class Received final : public ByteSource {
 public:
  Received(const Context& context, const Client& client, NewFile& file, SealWriter* seal)
      : context_(context), client_(client), file_(file), seal_(seal) {
    client.authorize(call_);
    stub_ = client.stub<pb::Backup>();
    stream_ = stub_->Create(&call_, pb::CreateBackupRequest());
  }
  void cancel() { call_.TryCancel(); }

  Result<std::string> read() override {
    pb::BackupChunk chunk;
    if (!stream_->Read(&chunk)) {
      const grpc::Status status = stream_->Finish();
      if (!status.ok()) return from_grpc(status, client_.server());
      return std::string();
    }
    std::string bytes = std::move(*chunk.mutable_data());
    received_ += bytes.size();
    if (seal_ == nullptr) {
      RETURN_IF_ERROR(file_.write(bytes));
    } else {
      std::string sealed;
      seal_->add(bytes, sealed);
      RETURN_IF_ERROR(file_.write(sealed));
    }
    show(chunk);
    return bytes;
  }
  [[nodiscard]] size_t received() const { return received_; }

 private:
  void show(const pb::BackupChunk& chunk) {
    if (!context_.terminal.live) return;
    context_.terminal.err << fmt::format("\rrevision {} of {}, {} MiB", chunk.sent_revision(),
                                         chunk.revision(), received_ >> 20)
                          << (chunk.sent_revision() == chunk.revision() ? "\n" : "") << std::flush;
  }

  const Context& context_;
  const Client& client_;
  NewFile& file_;
  SealWriter* seal_;
  grpc::ClientContext call_;
  std::unique_ptr<pb::Backup::StubInterface> stub_;
  std::unique_ptr<grpc::ClientReaderInterface<pb::BackupChunk>> stream_;
  size_t received_ = 0;
};

Status check_options(const Options& options) {
  if (options.passphrase_file.empty() != options.unencrypted)
    return Error(Code::kInvalidArgument,
                 "give --passphrase-file, or --unencrypted: whoever reads the archive then has the "
                 "CA's key and the administrator's token");
  struct stat info {};
  if (!options.force && lstat(options.file.c_str(), &info) == 0)
    return Error(Code::kInvalidArgument,
                 fmt::format("{} exists: choose another name, or give --force", options.file));
  return {};
}

Result<int> backup(Context& context, const Options& options) {
  RETURN_IF_ERROR(check_options(options));
  std::optional<SealWriter> seal;
  if (!options.passphrase_file.empty()) {
    ASSIGN_OR_RETURN(const std::string passphrase, read_passphrase(options.passphrase_file));
    ASSIGN_OR_RETURN(SealWriter made, SealWriter::make(passphrase));
    seal.emplace(std::move(made));
  }
  ASSIGN_OR_RETURN(const auto client, context.connect());
  NewFile file(options.file);
  RETURN_IF_ERROR(file.create());
  context.on_interrupt();
  Received received(context, *client, file, seal ? &*seal : nullptr);
  const std::stop_callback interrupt(context.stop, [&] { received.cancel(); });
  // What arrives is checked as it arrives: a file that gets its name is a whole archive.
  ArchiveReader reader(received);
  const Result<pb::ArchiveHeader> header = reader.header();
  if (!header) return header.error();
  while (true) {
    ASSIGN_OR_RETURN(const auto record, reader.next());
    if (!record) break;
  }
  if (seal) {
    std::string rest;
    seal->end(rest);
    RETURN_IF_ERROR(file.write(rest));
  }
  RETURN_IF_ERROR(file.publish(options.force));
  const pb::ArchiveEnd& counts = reader.counts();
  if (context.json) {
    boost::json::object out{{"file", options.file},
                            {"encrypted", seal.has_value()},
                            {"revision", header->revision()},
                            {"objects", counts.objects()},
                            {"auditEntries", counts.audit_rows()},
                            {"files", counts.files()},
                            {"bytes", received.received()}};
    context.terminal.out << pretty_json(out) << "\n";
  } else {
    context.terminal.out << fmt::format(
        "{}: {} resources at revision {}, {} audit entries, {} files{}\n", options.file,
        counts.objects(), header->revision(), counts.audit_rows(), counts.files(),
        seal ? ", encrypted" : ", NOT encrypted");
  }
  if (reader.audit_problem().empty()) return kExitOk;
  context.terminal.err << context.terminal.paint(Colour::kYellow, "the audit log is not as it was "
                                                                  "written: ")
                       << reader.audit_problem() << "\n";
  return kExitFailure;
}

}  // namespace

Command backup_command() {
  return {
      .name = "backup",
      .summary = "Copy the whole fleet into one file, while it goes on",
      .help = "As of one revision: every resource, the audit log, and the server's keys: the CA's key, the\n"
              "administrator's token, the key of stored secrets. It is encrypted here, with the first line\n"
              "of the passphrase file (scrypt, AES-256-GCM); the server never sees the passphrase. Without\n"
              "it, or with --unencrypted, whoever has the file has the fleet. The file appears only when it\n"
              "is whole and checked. `frameworks verify` checks it again, `frameworks restore` restores it.",
      .examples = {{"backup -o fleet.backup --passphrase-file passphrase", "encrypted"},
                   {"backup -o fleet.backup --unencrypted", "onto a disk that is encrypted itself"}},
      .setup = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        app.add_option("-o,--output", options->file, "File to make, readable by its owner only")
            ->required();
        app.add_option("--passphrase-file", options->passphrase_file,
                       "Encrypt under this file's first line");
        app.add_flag("--unencrypted", options->unencrypted, "Do not encrypt");
        app.add_flag("--force", options->force, "Replace the file when it exists");
        return [options](Context& context) { return backup(context, *options); };
      },
  };
}

}  // namespace frameworks::cli
