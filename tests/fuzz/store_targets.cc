// What the store reads back from its file: blobs of the log and of the audit log.
#include "base/error.h"
#include "store/sqlite_batch.h"
#include "target.h"

namespace frameworks {
namespace {

bool same(const ChangeEntry& a, const ChangeEntry& b) {
  return a.position == b.position && a.time_us == b.time_us && a.actor == b.actor &&
         a.kind == b.kind && a.tenant == b.tenant && a.name == b.name && a.deleted == b.deleted &&
         a.message == b.message;
}
bool same(const AuditEntry& a, const AuditEntry& b) {
  return a.position == b.position && a.record == b.record && a.hash == b.hash;
}

// What can be read is written and read to the same; reading ends.
template <typename Entry>
void read_all(std::string_view blob) {
  Entry entry;
  while (!blob.empty()) {
    const size_t left = blob.size();
    if (!take_entry(blob, entry)) return;
    CHECK(blob.size() < left);
    std::string written;
    append_entry(written, entry);
    std::string_view rest = written;
    Entry again;
    CHECK(take_entry(rest, again) && rest.empty() && same(entry, again));
  }
}

void log_batch(std::string_view bytes) {
  read_all<ChangeEntry>(bytes);
  ChangeEntry entry;
  if (take_entry(bytes, entry)) {
    ChangeEntry parts;
    split_key(entry.key, parts);
    CHECK(parts.kind == entry.kind && parts.tenant == entry.tenant && parts.name == entry.name);
    (void)parse_change(entry);
  }
}

void audit_batch(std::string_view bytes) { read_all<AuditEntry>(bytes); }

}  // namespace

void add_store_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"log_batch", log_batch}, {"audit_batch", audit_batch}});
}

}  // namespace frameworks
