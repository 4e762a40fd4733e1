// The real binary as a child, for tests.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <boost/json.hpp>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "server/fleet_client.h"

namespace frameworks {

class ServerProcess {
 public:
  // `files`: how many it may open; 0: as many as this process.
  explicit ServerProcess(std::filesystem::path state, rlim_t files = 0) : state_(std::move(state)) {
    std::filesystem::remove(state_ / "listening.json");
    pid_ = fork();
    if (pid_ == 0) {
      const int log = open(log_path().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(log, 2);
      const rlimit limit{files, files};
      if (files > 0) setrlimit(RLIMIT_NOFILE, &limit);
      execl(FW_QUARTERMASTER, "quartermaster", "--state", state_.c_str(), "--machines", "simulated",
            "--listen-grpc", "127.0.0.1:0", "--listen-rest", "127.0.0.1:0", "--heartbeat", "250ms",
            nullptr);
      _exit(127);
    }
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(state_ / "listening.json"); }));
    const auto ports = boost::json::parse(*read_file(state_ / "listening.json")).as_object();
    grpc_port_ = static_cast<int>(ports.at("grpc").as_int64());
    rest_port_ = static_cast<int>(ports.at("rest").as_int64());
  }
  ~ServerProcess() { end(SIGTERM); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // As waitpid() tells it.
  int end(int signal) {
    if (pid_ <= 0) return ended_;
    kill(pid_, signal);
    waitpid(pid_, &ended_, 0);
    pid_ = -1;
    return ended_;
  }
  [[nodiscard]] int grpc_port() const { return grpc_port_; }
  [[nodiscard]] int rest_port() const { return rest_port_; }
  // In MiB.
  [[nodiscard]] size_t resident() const {
    const std::string text = *read_file("/proc/" + std::to_string(pid_) + "/statm");
    return std::stoul(text.substr(text.find(' '))) * 4096 / (1 << 20);
  }
  [[nodiscard]] bool runs() {
    int status = 0;
    if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) == 0) return pid_ > 0;
    pid_ = -1;
    ended_ = status;
    return false;
  }
  [[nodiscard]] std::string log() const { return read_file(log_path()).value_or("no log"); }

 private:
  [[nodiscard]] std::string log_path() const { return state_.string() + ".log"; }

  const std::filesystem::path state_;
  pid_t pid_ = -1;
  int ended_ = 0;
  int grpc_port_ = 0;
  int rest_port_ = 0;
};

}  // namespace frameworks
