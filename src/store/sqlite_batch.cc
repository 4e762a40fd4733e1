#include "store/sqlite_batch.h"

#include "base/varint.h"
#include "store/stored.h"

namespace frameworks {
namespace {

void append_number(std::string& out, int64_t number) {
  append_varint(out, static_cast<uint64_t>(number));
}

void append_text(std::string& out, std::string_view bytes) {
  append_varint(out, bytes.size());
  out += bytes;
}

bool take_number(std::string_view& from, int64_t& out) {
  uint64_t number = 0;
  if (!take_varint(from, number)) return false;
  out = static_cast<int64_t>(number);
  return true;
}

bool take_text(std::string_view& from, std::string_view& out) {
  uint64_t size = 0;
  return take_varint(from, size) && take_bytes(from, size, out);
}

}  // namespace

void append_entry(std::string& blob, const ChangeEntry& entry) {
  append_number(blob, entry.position);
  append_number(blob, entry.time_us);
  append_text(blob, entry.actor);
  append_text(blob, entry.kind);
  append_text(blob, entry.tenant);
  append_text(blob, entry.name);
  append_number(blob, entry.deleted ? 1 : 0);
  if (!entry.deleted) append_text(blob, entry.message);
}

void append_entry(std::string& blob, int64_t position, const Change& change) {
  std::string made;
  std::string_view message;
  if (change.after_row) {
    message = change.after_row->bytes();
  } else if (change.after) {
    message = made = change.after.message().SerializeAsString();
  }
  append_entry(blob, {.position = position,
                      .time_us = to_us(change.time),
                      .actor = change.actor.name,
                      .kind = change.key.kind,
                      .tenant = change.key.tenant,
                      .name = change.key.name,
                      .deleted = change.is_deletion(),
                      .message = message});
}

void append_entry(std::string& blob, const AuditEntry& entry) {
  append_number(blob, entry.position);
  append_text(blob, entry.record);
  append_text(blob, entry.hash);
}

bool take_entry(std::string_view& blob, ChangeEntry& out) {
  // What a WallTime can hold, which counts nanoseconds.
  constexpr int64_t kMaxTime = INT64_MAX / 1000;
  int64_t deleted = 0;
  if (!take_number(blob, out.position) || !take_number(blob, out.time_us) ||
      out.time_us > kMaxTime || out.time_us < -kMaxTime || !take_text(blob, out.actor))
    return false;
  const std::string_view from = blob;
  if (!take_text(blob, out.kind) || !take_text(blob, out.tenant) || !take_text(blob, out.name))
    return false;
  out.key = from.substr(0, from.size() - blob.size());
  if (!take_number(blob, deleted) || deleted < 0 || deleted > 1) return false;
  out.deleted = deleted == 1;
  out.message = {};
  return out.deleted || take_text(blob, out.message);
}

bool take_entry(std::string_view& blob, AuditEntry& out) {
  return take_number(blob, out.position) && take_text(blob, out.record) &&
         take_text(blob, out.hash);
}

void split_key(std::string_view key, ChangeEntry& out) {
  CHECK(take_text(key, out.kind) && take_text(key, out.tenant) && take_text(key, out.name));
}

Result<Change> parse_change(const ChangeEntry& entry) {
  Change change;
  change.revision = revision_of(entry.position);
  change.time = from_us(entry.time_us);
  change.actor = std::string(entry.actor);
  change.key = {std::string(entry.kind), std::string(entry.tenant), std::string(entry.name)};
  if (!entry.deleted) {
    ASSIGN_OR_RETURN(change.after, parse_resource(entry.kind, entry.name, entry.message));
  }
  return change;
}

}  // namespace frameworks
