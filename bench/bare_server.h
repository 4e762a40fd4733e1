// The barest servers that could answer the same: they parse nothing, know nobody and always say the
// same bytes. Each serves until it is killed, and leaves its port in the file `port`.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fleet_maker.h"

namespace frameworks::bench {

// Plain HTTP/1.1 on one epoll thread.
[[noreturn]] void serve_bare_http(const std::string& port_file, size_t answer_bytes);
// gRPC with TLS on the callback API's generic service, as quartermaster's, without anything behind.
// The method "/hold" is a stream of both sides: see Parrot.
[[noreturn]] void serve_bare_grpc(const std::string& port_file, size_t message_bytes);

// A program's own first lines: serves and never returns when the arguments are those of BareProcess.
void serve_if_asked(int argc, char** argv);

// One of them as a process of its own, which is the program that runs with other arguments.
class BareProcess {
 public:
  // `what`: "bare-http" or "bare-grpc".
  BareProcess(const std::filesystem::path& folder, const std::string& what, size_t bytes,
              const std::vector<int>& on);
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return child_->pid(); }

 private:
  std::unique_ptr<Child> child_;
  int port_ = 0;
};

}  // namespace frameworks::bench
