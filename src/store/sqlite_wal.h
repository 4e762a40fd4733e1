// How the connection that appends writes SQLite's WAL: the pages of a commit at once.
//
// SQLite writes each page of a commit with two calls, its head and its bytes, and each of them looks
// at all of the piece of the system's cache that it falls in. Here pages wait in memory until SQLite
// asks to have them on disk, as it does at the end of each commit, before it tells other connections
// of it (synchronous = FULL).
#pragma once

namespace frameworks {

// The name of SQLite's VFS that does so, for connections with synchronous = FULL only: under
// another setting connections would look for pages that are not in the file yet. Everything else is
// as in the system's VFS. Threadsafe.
const char* wal_in_one_write();

}  // namespace frameworks
