// A PostgreSQL server of a test's own: Debian's, in a temporary folder, as a user that is not root.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "store/postgres.h"

namespace frameworks {

class PostgresServer {
 public:
  // kUnavailable, with the reason: it cannot be started here.
  static Result<std::unique_ptr<PostgresServer>> start() {
    ASSIGN_OR_RETURN(auto server, make());
    const auto made = run_checked(
        {.argv = server->as_user({kBin + "initdb", "-D", server->data(), "-A", "trust", "--no-sync",
                                  "-E", "UTF8", "--locale=C", "-U", "fleet"})});
    if (!made) return Error(Code::kUnavailable, made.error().message());
    RETURN_IF_ERROR(server->begin());
    return server;
  }
  // A standby of `primary` that has all that it ever acknowledged, once it has caught up.
  static Result<std::unique_ptr<PostgresServer>> start_standby(const PostgresServer& primary) {
    ASSIGN_OR_RETURN(auto server, make());
    RETURN_IF_ERROR(run_checked(
        {.argv = server->as_user({kBin + "pg_basebackup", "-D", server->data(), "-X", "stream",
                                  "--no-sync", "-c", "fast", "-R", "-d",
                                  primary.conninfo("postgres") + " application_name=standby"})}));
    RETURN_IF_ERROR(server->begin());
    return server;
  }
  ~PostgresServer() { end(SIGQUIT); }

  // SIGINT: as an operator stops it; SIGQUIT: as a crash; nobody cleans up.
  void end(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // Starts it (again) and waits until it answers.
  Status begin() {
    pid_ = fork();
    if (pid_ == 0) {
      const int log =
          open((directory_.path() / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(log, 1);
      dup2(log, 2);
      if (chdir(directory_.path().c_str()) != 0) _exit(126);
      auto words = as_user({kBin + "postgres", "-D", data(), "-p", std::to_string(port_)});
      for (const std::string& setting : settings()) words.insert(words.end(), {"-c", setting});
      std::vector<char*> argv;
      for (std::string& word : words) argv.push_back(word.data());
      argv.push_back(nullptr);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    for (int i = 0; i < 400; ++i) {
      if (PQping(conninfo("postgres").c_str()) == PQPING_OK) return {};
      (void)system_clock().sleep_for(std::chrono::milliseconds(50), {});
    }
    end(SIGQUIT);
    return Error(Code::kUnavailable,
                 "PostgreSQL does not start: " + read_file(directory_.path() / "log").value_or(""));
  }
  Status promote() {
    RETURN_IF_ERROR(
        run_checked({.argv = as_user({kBin + "pg_ctl", "promote", "-w", "-D", data()})}));
    return {};
  }

  [[nodiscard]] std::string conninfo(const std::string& database) const {
    return fmt::format("host=127.0.0.1 port={} user=fleet dbname={}", port_, database);
  }
  [[nodiscard]] int port() const { return port_; }
  // A new empty database, by its conninfo.
  std::string make_database() {
    const std::string name = fmt::format("fleet{}", ++databases_);
    auto connection = Postgres::connect(conninfo("postgres"));
    CHECK(connection && connection->run("CREATE DATABASE " + name));
    return conninfo(name);
  }

  // Of the loopback address, for a server that starts, and may start again: not among those that
  // outgoing connections are given.
  static Result<int> free_port() {
    std::random_device random;
    for (int tries = 0; tries < 100; ++tries) {
      const Fd probe(socket(AF_INET, SOCK_STREAM, 0));
      const int port = 20'000 + static_cast<int>(random() % 12'000);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(port));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return port;
    }
    return Error(Code::kUnavailable, "no port is free");
  }

 private:
  inline static const std::string kBin = "/usr/lib/postgresql/15/bin/";

  PostgresServer(TemporaryDirectory directory, int port)
      : directory_(std::move(directory)), port_(port) {}

  static Result<std::unique_ptr<PostgresServer>> make() {
    if (access((kBin + "postgres").c_str(), X_OK) != 0)
      return Error(Code::kUnavailable, "Debian's postgresql-15 is not installed");
    ASSIGN_OR_RETURN(TemporaryDirectory directory, TemporaryDirectory::make("fwpg"));
    ASSIGN_OR_RETURN(const int port, free_port());
    auto server = std::unique_ptr<PostgresServer>(new PostgresServer(std::move(directory), port));
    if (geteuid() == 0) {
      const passwd* user = getpwnam("postgres");
      if (user == nullptr) return Error(Code::kUnavailable, "there is no user postgres");
      server->user_ = user->pw_name;
      if (chown(server->directory_.path().c_str(), user->pw_uid, user->pw_gid) != 0)
        return errno_error("chown");
    }
    return server;
  }

  // It ends with the test, however that ends.
  [[nodiscard]] std::vector<std::string> as_user(std::vector<std::string> words) const {
    std::vector<std::string> out{"setpriv", "--pdeathsig", "QUIT"};
    if (!user_.empty())
      out.insert(out.end(), {"--reuid", user_, "--regid", user_, "--clear-groups"});
    out.insert(out.end(), words.begin(), words.end());
    return out;
  }

  [[nodiscard]] std::string data() const { return directory_.path() / "data"; }
  [[nodiscard]] std::vector<std::string> settings() const {
    return {"listen_addresses=127.0.0.1", "unix_socket_directories=" + directory_.path().string(),
            // Everything survives the server's own end; not the machine's, which no test ends.
            "fsync=off", "shared_buffers=32MB", "max_connections=100",
            // A standby comes back soon.
            "wal_retrieve_retry_interval=200ms", "log_min_messages=warning"};
  }

  TemporaryDirectory directory_;
  const int port_;
  std::string user_;
  pid_t pid_ = -1;
  int databases_ = 0;
};

}  // namespace frameworks
