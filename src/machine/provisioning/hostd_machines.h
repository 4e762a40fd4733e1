// Machines of this host: a client of frameworks-hostd on its unix socket.
#pragma once

#include <filesystem>
#include <memory>

#include "machine/provisioning/machines.h"

namespace frameworks::provisioning {

// Connects with the first call, and again after the daemon was away; kUnavailable while it is.
std::unique_ptr<Machines> connect_hostd(const std::filesystem::path& socket);

}  // namespace frameworks::provisioning
