// A real quartermaster as a child process, one of several on one database.
#pragma once

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "frameworks/v1/fleet_api.grpc.pb.h"

namespace frameworks {

class ReplicaProcess {
 public:
  ReplicaProcess(std::filesystem::path state, std::string name, std::string store, int port)
      : state_(std::move(state)), name_(std::move(name)), store_(std::move(store)), port_(port) {}
  ~ReplicaProcess() { end(SIGKILL); }

  void start() {
    std::filesystem::create_directories(state_);
    std::filesystem::remove(state_ / "listening.json");
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open((state_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, 2);
    const std::string listen = "127.0.0.1:" + std::to_string(port_);
    execl(FW_QUARTERMASTER, "quartermaster", "--state", state_.c_str(), "--machines", "simulated",
          "--store", store_.c_str(), "--replica-name", name_.c_str(), "--listen-grpc",
          listen.c_str(), "--listen-rest", "127.0.0.1:0", nullptr);
    _exit(127);
  }
  [[nodiscard]] bool is_serving() const {
    return std::filesystem::exists(state_ / "listening.json");
  }
  // The exit status as of waitpid().
  int end(int signal) {
    if (pid_ <= 0) return 0;
    kill(pid_, signal);
    if (signal == SIGKILL) kill(pid_, SIGCONT);
    return wait();
  }
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  void pause() const { kill(pid_, SIGSTOP); }
  void resume() const { kill(pid_, SIGCONT); }

  // As an operator does for a new server of a fleet.
  void copy_keys_to(const ReplicaProcess& other) const {
    std::filesystem::create_directories(other.state_);
    for (const auto& file : std::filesystem::directory_iterator(state_))
      if (const auto name = file.path().filename();
          name.extension() == ".pem" || name.extension() == ".key" || name.extension() == ".keys" ||
          name.extension() == ".token")
        std::filesystem::copy_file(file.path(), other.state_ / name,
                                   std::filesystem::copy_options::overwrite_existing);
  }
  [[nodiscard]] std::shared_ptr<grpc::Channel> channel() const {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = *read_file(state_ / "ca.pem");
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 300);
    arguments.SetSslTargetNameOverride("quartermaster");
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_),
                                     grpc::SslCredentials(tls), arguments);
  }
  [[nodiscard]] std::string token() const {
    return std::string(trim(*read_file(state_ / "admin.token")));
  }
  [[nodiscard]] std::string log() const { return read_file(state_ / "log").value_or(""); }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  const std::filesystem::path state_;
  const std::string name_;
  const std::string store_;
  const int port_;
  pid_t pid_ = -1;
};

}  // namespace frameworks
