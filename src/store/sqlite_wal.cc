#include "store/sqlite_wal.h"

#include <sqlite3.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/error.h"

namespace frameworks {
namespace {

// What waits at most; a commit that is larger is written in parts.
constexpr size_t kMostBytes = size_t{1} << 20;
// The system's VFS takes less than 128 KiB a call.
constexpr size_t kWriteBytes = size_t{64} << 10;

sqlite3_vfs* system_vfs() {
  static sqlite3_vfs* const found = sqlite3_vfs_find(nullptr);
  return found;
}

// The system's file, and what is to be written to it next: `waiting`, from `begin` on.
struct Wal {
  std::unique_ptr<char[]> memory;
  sqlite3_file* file = nullptr;
  std::string waiting;
  sqlite3_int64 begin = 0;

  int write_waiting() {
    for (size_t done = 0; done < waiting.size();) {
      const size_t size = std::min(kWriteBytes, waiting.size() - done);
      const int result = file->pMethods->xWrite(file, waiting.data() + done, static_cast<int>(size),
                                                begin + static_cast<sqlite3_int64>(done));
      if (result != SQLITE_OK) {
        // SQLite rolls the commit back; the next one writes all of its pages anew.
        waiting.clear();
        return result;
      }
      done += size;
    }
    waiting.clear();
    return SQLITE_OK;
  }
};

// What SQLite has memory for.
struct Handle {
  sqlite3_file base;
  Wal* wal;
};

Wal& wal_of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file)->wal; }

// Calls the same method of the system's file, which first gets what waits.
template <auto kMethod, typename... Args>
int pass_on(sqlite3_file* handle, Args... args) {
  Wal& wal = wal_of(handle);
  if (const int result = wal.write_waiting(); result != SQLITE_OK) return result;
  return (wal.file->pMethods->*kMethod)(wal.file, args...);
}

int close(sqlite3_file* handle) {
  const std::unique_ptr<Wal> wal(&wal_of(handle));
  // What waits belongs to no commit.
  return wal->file->pMethods->xClose(wal->file);
}

int write(sqlite3_file* handle, const void* bytes, int size, sqlite3_int64 offset) {
  Wal& wal = wal_of(handle);
  const auto end = wal.begin + static_cast<sqlite3_int64>(wal.waiting.size());
  if (!wal.waiting.empty() && (offset != end || wal.waiting.size() >= kMostBytes)) {
    if (const int result = wal.write_waiting(); result != SQLITE_OK) return result;
  }
  if (wal.waiting.empty()) wal.begin = offset;
  wal.waiting.append(static_cast<const char*>(bytes), static_cast<size_t>(size));
  return SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods = {
    .iVersion = 1,
    .xClose = close,
    .xRead = pass_on<&sqlite3_io_methods::xRead>,
    .xWrite = write,
    .xTruncate = pass_on<&sqlite3_io_methods::xTruncate>,
    .xSync = pass_on<&sqlite3_io_methods::xSync>,
    .xFileSize = pass_on<&sqlite3_io_methods::xFileSize>,
    .xLock = pass_on<&sqlite3_io_methods::xLock>,
    .xUnlock = pass_on<&sqlite3_io_methods::xUnlock>,
    .xCheckReservedLock = pass_on<&sqlite3_io_methods::xCheckReservedLock>,
    .xFileControl = pass_on<&sqlite3_io_methods::xFileControl>,
    .xSectorSize = pass_on<&sqlite3_io_methods::xSectorSize>,
    .xDeviceCharacteristics = pass_on<&sqlite3_io_methods::xDeviceCharacteristics>,
};

int open(sqlite3_vfs*, const char* name, sqlite3_file* out, int flags, int* out_flags) {
  sqlite3_vfs* const system = system_vfs();
  if ((flags & SQLITE_OPEN_WAL) == 0) return system->xOpen(system, name, out, flags, out_flags);
  out->pMethods = nullptr;  // nothing to close, should it fail
  auto wal = std::make_unique<Wal>();
  wal->memory = std::make_unique<char[]>(static_cast<size_t>(system->szOsFile));
  wal->file = reinterpret_cast<sqlite3_file*>(wal->memory.get());
  if (const int result = system->xOpen(system, name, wal->file, flags, out_flags);
      result != SQLITE_OK) {
    if (wal->file->pMethods != nullptr) wal->file->pMethods->xClose(wal->file);
    return result;
  }
  auto* handle = reinterpret_cast<Handle*>(out);
  handle->wal = wal.release();
  handle->base.pMethods = &kMethods;
  return SQLITE_OK;
}

// A copy of the system's, whose functions need nothing of it but what is in the copy, too.
sqlite3_vfs make_vfs() {
  sqlite3_vfs out = *system_vfs();
  out.pNext = nullptr;
  out.zName = "frameworks-wal";
  out.szOsFile = std::max(out.szOsFile, static_cast<int>(sizeof(Handle)));
  out.xOpen = open;
  return out;
}

}  // namespace

const char* wal_in_one_write() {
  static sqlite3_vfs vfs = [] {
    CHECK(sqlite3_initialize() == SQLITE_OK);
    return make_vfs();
  }();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  CHECK(registered == SQLITE_OK);
  return vfs.zName;
}

}  // namespace frameworks
