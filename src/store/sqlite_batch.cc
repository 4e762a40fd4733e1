#include "store/sqlite_batch.h"

#include "store/stored.h"

namespace frameworks {
namespace {

void append_number(std::string& out, int64_t number) {
  auto rest = static_cast<uint64_t>(number);
  for (; rest >= 0x80; rest >>= 7) out += static_cast<char>(rest | 0x80);
  out += static_cast<char>(rest);
}

void append_bytes(std::string& out, std::string_view bytes) {
  append_number(out, static_cast<int64_t>(bytes.size()));
  out += bytes;
}

bool take_number(std::string_view& from, int64_t& out) {
  uint64_t number = 0;
  for (int shift = 0; shift < 64 && !from.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    number |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    out = static_cast<int64_t>(number);
    return true;
  }
  return false;
}

bool take_bytes(std::string_view& from, std::string_view& out) {
  int64_t size = 0;
  if (!take_number(from, size) || static_cast<uint64_t>(size) > from.size()) return false;
  out = from.substr(0, static_cast<size_t>(size));
  from.remove_prefix(static_cast<size_t>(size));
  return true;
}

}  // namespace

void append_entry(std::string& blob, const ChangeEntry& entry) {
  append_number(blob, entry.position);
  append_number(blob, entry.time_us);
  append_bytes(blob, entry.actor);
  append_bytes(blob, entry.kind);
  append_bytes(blob, entry.tenant);
  append_bytes(blob, entry.name);
  append_number(blob, entry.deleted ? 1 : 0);
  if (!entry.deleted) append_bytes(blob, entry.message);
}

void append_entry(std::string& blob, int64_t position, const Change& change) {
  std::string made;
  std::string_view message = change.after_bytes;
  if (change.after && message.empty()) message = made = change.after.message().SerializeAsString();
  append_entry(blob, {.position = position,
                      .time_us = to_us(change.time),
                      .actor = change.actor.name,
                      .kind = change.key.kind,
                      .tenant = change.key.tenant,
                      .name = change.key.name,
                      .deleted = !change.after,
                      .message = message});
}

void append_entry(std::string& blob, const AuditEntry& entry) {
  append_number(blob, entry.position);
  append_bytes(blob, entry.record);
  append_bytes(blob, entry.hash);
}

bool take_entry(std::string_view& blob, ChangeEntry& out) {
  // What a WallTime can hold, which counts nanoseconds.
  constexpr int64_t kMaxTime = INT64_MAX / 1000;
  int64_t deleted = 0;
  if (!take_number(blob, out.position) || !take_number(blob, out.time_us) ||
      out.time_us > kMaxTime || out.time_us < -kMaxTime || !take_bytes(blob, out.actor))
    return false;
  const std::string_view from = blob;
  if (!take_bytes(blob, out.kind) || !take_bytes(blob, out.tenant) || !take_bytes(blob, out.name))
    return false;
  out.key = from.substr(0, from.size() - blob.size());
  if (!take_number(blob, deleted) || deleted < 0 || deleted > 1) return false;
  out.deleted = deleted == 1;
  out.message = {};
  return out.deleted || take_bytes(blob, out.message);
}

bool take_entry(std::string_view& blob, AuditEntry& out) {
  return take_number(blob, out.position) && take_bytes(blob, out.record) &&
         take_bytes(blob, out.hash);
}

void split_key(std::string_view key, ChangeEntry& out) {
  CHECK(take_bytes(key, out.kind) && take_bytes(key, out.tenant) && take_bytes(key, out.name));
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
