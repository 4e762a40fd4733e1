// The disk of a machine: an overlay on the shared base, with what makes the machine itself.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "frameworks/v1/hostd.pb.h"

namespace frameworks::hostd {

// Where the repository is found inside machines.
inline constexpr const char* kRepositoryInside = "/opt/frameworks/repository";

// The unpacked base that `base` means: itself, with links resolved, or, for a packed one
// (.tar.zst), the copy in `state`, unpacked first if need be.
Result<std::filesystem::path> ensure_base(const std::filesystem::path& base,
                                          const std::filesystem::path& state);

// Makes the directories, the SSH host key, and the files on the machine's own layer: name, hosts,
// keys, package sources. Idempotent; the machine must be off and its disk not mounted.
Status prepare_disk(const std::filesystem::path& directory, const v1::MachineRecord& machine);
// Replaces the keys that may log in, also while the machine runs.
Status write_authorized_keys(const std::filesystem::path& directory, const v1::MachineSpec& spec);
// "ssh-ed25519 AAAA…"
Result<std::string> read_ssh_host_key(const std::filesystem::path& directory);

// Idempotent.
Status mount_disk(const std::filesystem::path& directory, const std::filesystem::path& base);
Status unmount_disk(const std::filesystem::path& directory);
// Unmounts everything that is mounted below the directory, deepest first.
Status unmount_below(const std::filesystem::path& directory);

}  // namespace frameworks::hostd
