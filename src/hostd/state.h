// What the helper keeps on disk. Everything is recorded before it is made, so that `down` finds it
// whatever happened in between.
//
//   host.json                  HostRecord
//   lock                       held while a daemon, or `down`, is at work
//   wan.sock, *.log
//   machines/<name>/           machine.json, supervisor.json, lock, SSH host key, console.log
//                   upper/ work/ root/      the overlay
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "frameworks/v1/hostd.pb.h"

namespace frameworks::hostd {

// Paths and whole files; no memory of its own, one writer a file.
class StateDirectory {
 public:
  explicit StateDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path wan_socket() const { return path_ / "wan.sock"; }
  [[nodiscard]] std::filesystem::path machines() const { return path_ / "machines"; }
  [[nodiscard]] std::filesystem::path machine(const std::string& name) const {
    return machines() / name;
  }

  // kNotFound when there is none.
  [[nodiscard]] Result<v1::HostRecord> read_host() const;
  Status write_host(const v1::HostRecord& state) const;
  [[nodiscard]] Result<v1::MachineRecord> read_machine(const std::string& name) const;
  Status write_machine(const v1::MachineRecord& state) const;
  // An empty message when there is none.
  [[nodiscard]] v1::SupervisorRecord read_supervisor(const std::string& name) const;
  Status write_supervisor(const std::string& name, const v1::SupervisorRecord& state) const;
  // Names of all machines that have a directory.
  [[nodiscard]] std::vector<std::string> list_machines() const;

 private:
  std::filesystem::path path_;
};

// Takes the lock file for as long as the result lives; kUnavailable when another process keeps it
// longer than `patience`.
Result<Fd> take_lock(const std::filesystem::path& path, std::chrono::milliseconds patience);

}  // namespace frameworks::hostd
