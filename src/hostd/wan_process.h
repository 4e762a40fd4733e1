// The process around the WAN emulator: `frameworks-hostd wan`. It lives in the fabric's network
// namespace, holds one TAP a region, outlives the daemon, and reads host.json again when told to on
// its socket. One thread.
//
// Socket (stream, mode 0600): the client writes "reload\n" and reads "ok\n" or "error: …\n" once
// the links are as in the file.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace frameworks::hostd {

// Returns on SIGTERM only.
Status run_wan(const std::filesystem::path& state);

// Tells the process at the socket to read its links again; returns when it has.
Status reload_wan(const std::filesystem::path& socket);

}  // namespace frameworks::hostd
