#include "store/audit_chain.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>
#include <optional>

#include "base/text.h"
#include "frameworks/v1/audit_record.pb.h"
#include "model/delta.h"
#include "model/pack.h"

namespace frameworks {
namespace {

// The exact bytes of one side of a change, as they are or made.
class SideBytes {
 public:
  SideBytes(const RowRef& row, const Resource& resource) {
    if (row) {
      kind_ = &row->kind();
      bytes_ = row->bytes();
    } else if (resource) {
      kind_ = &resource.kind();
      bytes_ = made_ = deterministic_bytes(resource.message());
    }
  }
  SideBytes(const SideBytes&) = delete;
  SideBytes& operator=(const SideBytes&) = delete;
  [[nodiscard]] const std::optional<std::string_view>& get() const { return bytes_; }
  // Null: this side has nothing.
  [[nodiscard]] const Kind* kind() const { return kind_; }
  [[nodiscard]] bool has_delete_time() const {
    return has_field(field_bytes(*bytes_, kMetadataField), pb::Metadata::kDeleteTimeFieldNumber);
  }

 private:
  const Kind* kind_ = nullptr;
  std::string made_;
  std::optional<std::string_view> bytes_;
};

pb::AuditAction action_of(const SideBytes& before, const SideBytes& after) {
  if (!before.get()) return pb::AUDIT_ACTION_CREATE;
  if (!after.get()) return pb::AUDIT_ACTION_DELETE;
  return after.has_delete_time() && !before.has_delete_time() ? pb::AUDIT_ACTION_DELETING
                                                              : pb::AUDIT_ACTION_UPDATE;
}

void append_big_endian(std::string& out, int64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<uint64_t>(number) >> shift);
}

// SHA-256 whose algorithm is looked up once: the look-up costs more than the hash.
class Sha256 {
 public:
  Sha256() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
    CHECK(algorithm_ != nullptr && context_ != nullptr);
  }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }
  std::string of(std::string_view start, std::string_view rest) {
    std::string out(32, '\0');
    CHECK(EVP_DigestInit_ex2(context_, algorithm_, nullptr) == 1 &&
          EVP_DigestUpdate(context_, start.data(), start.size()) == 1 &&
          EVP_DigestUpdate(context_, rest.data(), rest.size()) == 1 &&
          EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(out.data()), nullptr) == 1);
    return out;
  }

 private:
  EVP_MD* algorithm_;
  EVP_MD_CTX* context_;
};

Error broken(int64_t position, std::string_view what) {
  return Error(Code::kDataLoss, fmt::format("revision {}, entry {}: {}", revision_of(position),
                                            place_of(position), what));
}

}  // namespace

Result<AuditHead> audit_head(Log& log, Revision revision) {
  ASSIGN_OR_RETURN(std::vector<AuditRow> rows,
                   log.read_audit({0, first_position(revision + 1), true}, 1));
  if (rows.empty()) return AuditHead{};
  return AuditHead{rows[0].position, std::move(rows[0].hash)};
}

std::string audit_record(const Change& change) {
  const SideBytes before(change.before_row, change.before);
  const SideBytes after(change.after_row, change.after);
  thread_local pb::AuditRecord record;  // its strings keep their room
  record.Clear();
  record.set_time_us(
      std::chrono::duration_cast<std::chrono::microseconds>(change.time.time_since_epoch())
          .count());
  record.set_actor(change.actor.name);
  record.set_source(change.actor.source);
  record.set_action(action_of(before, after));
  record.set_kind(change.key.kind);
  record.set_tenant(change.key.tenant);
  record.set_name(change.key.name);
  // Neither: a deletion of what was not there, which only a test appends.
  if (const Kind* kind = before.kind() != nullptr ? before.kind() : after.kind(); kind != nullptr) {
    Delta what = delta(*kind, before.get(), after.get());
    record.set_before(std::move(what.before));
    record.set_after(std::move(what.after));
    record.set_status_only(what.status_only);
    record.set_status_left_out(what.status_left_out);
  }
  return record.SerializeAsString();
}

std::string audit_hash(const AuditHead& previous, int64_t position, std::string_view record) {
  thread_local Sha256 sha;
  thread_local std::string start;  // keeps its room
  start = previous.hash;
  append_big_endian(start, previous.position);
  append_big_endian(start, position);
  return sha.of(start, record);
}

std::vector<AuditRow> chain(std::span<const Change> changes, AuditHead& head) {
  std::vector<AuditRow> out;
  out.reserve(changes.size());
  Revision revision = 0;
  int64_t place = 0;
  for (const Change& change : changes) {
    place = change.revision == revision ? place + 1 : 0;
    revision = change.revision;
    const int64_t position = first_position(revision) + place;
    std::string record = audit_record(change);
    std::string hash = audit_hash(head, position, record);
    head = {position, hash};
    out.push_back({position, std::move(record), std::move(hash)});
  }
  return out;
}

Status AuditCheck::take(const AuditRow& row) {
  if (row.hash.size() != 32) return broken(row.position, "its hash is not 32 bytes");
  if (row.record.empty()) {
    if (any_) return broken(row.position, "it was emptied");
    any_ = true;
    start_ = revision_of(row.position);
    head_ = {row.position, row.hash};
    return {};
  }
  const Revision revision = revision_of(row.position);
  const Revision before = revision_of(head_.position);
  const bool first = place_of(row.position) == 0;
  const bool follows = (first && revision == before + 1) || row.position == head_.position + 1;
  if (!follows || row.position <= head_.position)
    return broken(row.position, head_.position == 0
                                    ? std::string("what was before it is missing")
                                    : fmt::format("it does not follow revision {}, entry {}",
                                                  before, place_of(head_.position)));
  if (audit_hash(head_, row.position, row.record) != row.hash)
    return broken(row.position, "it is not what was written, or the one before is not");
  head_ = {row.position, row.hash};
  any_ = true;
  ++entries_;
  return {};
}

}  // namespace frameworks
