#include "server/secret_keys.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "model/registry.h"
#include "store/sealed_fields.h"

namespace frameworks {
namespace {

Status seal_anew(const SealKeys& keys, Transaction& transaction) {
  for (const Kind& kind : all_kinds()) {
    if (!has_sealed_fields(kind)) continue;
    for (const Resource& resource : transaction.snapshot().list(kind)) {
      ASSIGN_OR_RETURN(Resource sealed, reseal_fields(keys, resource));
      transaction.put(std::move(sealed));  // seals what is clear; nothing where nothing changes
    }
  }
  return {};
}

}  // namespace

Result<SecretKeys> SecretKeys::load(const std::filesystem::path& state, Rotate rotate) {
  SecretKeys out;
  out.path_ = state / "secrets.key";
  std::error_code error;
  out.missing_ = !std::filesystem::exists(out.path_, error);
  SealKeys keys = SealKeys::make();
  if (!out.missing_) {
    ASSIGN_OR_RETURN(const std::string text, read_file(out.path_));
    auto parsed = SealKeys::parse(text);
    if (!parsed)
      return Error(Code::kFailedPrecondition,
                   fmt::format("{}: {}", out.path_.string(), parsed.error().message()));
    keys = rotate == Rotate::kYes ? parsed->rotated() : std::move(*parsed);
  }
  out.unwritten_ = out.missing_ || rotate == Rotate::kYes;
  out.ring_ = std::make_shared<const SealKeys>(std::move(keys));
  return out;
}

Status SecretKeys::settle(Store& store) const {
  if (const Status opened = check_sealed(*ring_, *store.snapshot()); !opened)
    return Error(
        Code::kFailedPrecondition,
        fmt::format("{}: {} {}: put back the file that belongs to this fleet", path_.string(),
                    missing_ ? "is missing, and" : "is another one:", opened.error().message()));
  if (unwritten_) {
    RETURN_IF_ERROR(write_file(path_, ring_->text(), 0600));
    spdlog::info("made a new key for secrets: {}: keep a copy apart from backups", path_.string());
  }
  const auto sealed = store.write("system/secrets", [this](Transaction& transaction) {
    return seal_anew(*ring_, transaction);
  });
  if (!sealed) return sealed.error();
  if (!sealed->changes.empty())
    spdlog::info("sealed {} secrets with the newest key", sealed->changes.size());
  return {};
}

}  // namespace frameworks
