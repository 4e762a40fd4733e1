// Backup: the archive as a stream that is pulled by whoever can write.
#include "frameworks/v1/audit_api.pb.h"
#include "server/backup.h"
#include "server/handlers.h"

namespace frameworks {
namespace {

class BackupStream final : public ReplyStream {
 public:
  explicit BackupStream(std::unique_ptr<Backup> backup) : backup_(std::move(backup)) {}

  Result<State> next(Message& out) override {
    auto& chunk = static_cast<pb::BackupChunk&>(out);
    ASSIGN_OR_RETURN(std::string bytes, backup_->next());
    if (bytes.empty()) return State::kEnd;
    chunk.set_data(std::move(bytes));
    chunk.set_revision(backup_->revision());
    chunk.set_sent_revision(backup_->given());
    return State::kMessage;
  }

 private:
  std::unique_ptr<Backup> backup_;
};

}  // namespace

void add_backup_methods(Api& api, const Fleet& fleet, const std::filesystem::path& state) {
  api.add_stream<pb::CreateBackupRequest, pb::BackupChunk>(
      "frameworks.v1.Backup/Create",
      [fleet, state](const Caller&, const auto&, const Poke&) -> Result<std::unique_ptr<ReplyStream>> {
        ASSIGN_OR_RETURN(auto backup, Backup::begin(fleet.store, state, fleet.clock.wall()));
        return std::unique_ptr<ReplyStream>(std::make_unique<BackupStream>(std::move(backup)));
      });
}

}  // namespace frameworks
