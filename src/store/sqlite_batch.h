// What one append wrote, as the blobs of a few rows: of changes, and of entries of the audit log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/log.h"

namespace frameworks {

// A blob gets no further entry when it has so many bytes: whoever wants one entry reads them all.
inline constexpr size_t kBatchBytes = size_t{256} << 10;

// An entry as it lies in a blob; views into it.
struct ChangeEntry {
  int64_t position = 0;
  int64_t time_us = 0;
  std::string_view actor;
  std::string_view kind;
  std::string_view tenant;
  std::string_view name;
  std::string_view key;  // the bytes of kind, tenant and name
  bool deleted = false;
  std::string_view message;
};
struct AuditEntry {
  int64_t position = 0;
  std::string_view record;
  std::string_view hash;
};

void append_entry(std::string& blob, int64_t position, const Change& change);
void append_entry(std::string& blob, const ChangeEntry& entry);
void append_entry(std::string& blob, const AuditEntry& entry);
inline void append_entry(std::string& blob, const AuditRow& row) {
  append_entry(blob, AuditEntry{row.position, row.record, row.hash});
}

// Takes the first entry off the blob; false: its bytes are broken.
bool take_entry(std::string_view& blob, ChangeEntry& out);
bool take_entry(std::string_view& blob, AuditEntry& out);

// The three parts of ChangeEntry::key.
void split_key(std::string_view key, ChangeEntry& out);
Result<Change> parse_change(const ChangeEntry& entry);

}  // namespace frameworks
