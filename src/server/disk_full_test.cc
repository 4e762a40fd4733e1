// The real server on a disk that gets full: writes fail clearly, reads go on, and all that was
// acknowledged is there when it has space again and after a restart.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <boost/json.hpp>
#include <set>

#include "base/fd.h"
#include "frameworks/v1/tenant.pb.h"
#include "server/fleet_client.h"

namespace frameworks {
namespace {

// A small tmpfs in a mount namespace of its own, which a sleeping child keeps. What is on it is
// reached through the child's /proc/<pid>/root.
class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& at) : at_(at) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      const bool mounted = unshare(CLONE_NEWNS) == 0 &&
                           mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           mount("tmpfs", at_.c_str(), "tmpfs", 0, "size=16m") == 0;
      const char word = mounted ? 'y' : 'n';
      (void)!write(ready[1], &word, 1);
      while (true) pause();
    }
    close(ready[1]);
    char word = 'n';
    mounted_ = read(ready[0], &word, 1) == 1 && word == 'y';
    close(ready[0]);
  }
  ~SmallDisk() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] bool mounted() const { return mounted_; }
  // As this process sees it.
  [[nodiscard]] std::filesystem::path seen() const {
    return std::filesystem::path("/proc") / std::to_string(pid_) / "root" / at_.relative_path();
  }
  // In a child before exec.
  [[nodiscard]] bool enter() const {
    const Fd space(
        open(("/proc/" + std::to_string(pid_) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
    return space.valid() && setns(space.get(), CLONE_NEWNS) == 0;
  }
  // Takes all the space that is left.
  void fill() const {
    const Fd file(open((seen() / "foreign").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string zeros(4'096, '\0');
    while (write(file.get(), zeros.data(), zeros.size()) > 0) {
    }
  }
  void free() const { std::filesystem::remove(seen() / "foreign"); }

 private:
  std::filesystem::path at_;
  pid_t pid_ = -1;
  bool mounted_ = false;
};

class ServerOnDisk {
 public:
  ServerOnDisk(const SmallDisk& disk, const std::filesystem::path& at)
      : state_(disk.seen() / "state"), inside_(at / "state"), log_(at.string() + ".log") {
    std::filesystem::remove(state_ / "listening.json");
    pid_ = fork();
    if (pid_ == 0) {
      const int log = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(log, 2);
      if (!disk.enter()) _exit(126);
      execl(FW_QUARTERMASTER, "quartermaster", "--state", inside_.c_str(), "--machines",
            "simulated", "--listen-grpc", "127.0.0.1:0", "--listen-rest", "127.0.0.1:0", nullptr);
      _exit(127);
    }
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(state_ / "listening.json"); }))
        << read_file(log_).value_or("no log");
    const auto ports = boost::json::parse(*read_file(state_ / "listening.json"));
    client_.emplace(state_, static_cast<int>(ports.as_object().at("grpc").as_int64()));
  }
  ~ServerOnDisk() {
    kill(pid_, SIGTERM);
    int status = 0;
    waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << read_file(log_).value_or("");
  }
  FleetClient& client() { return *client_; }

 private:
  const std::filesystem::path state_;
  const std::filesystem::path inside_;
  const std::string log_;
  pid_t pid_ = -1;
  std::optional<FleetClient> client_;
};

grpc::Status write_tenant(FleetClient& client, const std::string& name) {
  pb::ApplyResponse response;
  return client.call("Fleet/Apply",
                     FleetClient::yaml("apiVersion: frameworks/v1\nkind: Tenant\nmetadata: {name: " +
                                       name + "}\nspec: {displayName: " + std::string(2'000, 'x') +
                                       "}\n"),
                     response);
}

grpc::Status read_tenant(FleetClient& client, const std::string& name) {
  pb::GetRequest request;
  request.set_kind("tenant");
  request.set_name(name);
  pb::GetResponse response;
  return client.call("Fleet/Get", request, response);
}

TEST(DiskFull, WritesFailClearlyReadsGoOnAndNothingAcknowledgedIsLost) {
  const auto directory = TemporaryDirectory::make();
  const auto at = directory->path() / "disk";
  std::filesystem::create_directory(at);
  const SmallDisk disk(at);
  if (!disk.mounted()) GTEST_SKIP() << "needs leave to mount a tmpfs in a mount namespace";
  std::set<std::string> acknowledged;
  int number = 0;
  // Until a write is refused; what it was refused with.
  const auto write_until_refused = [&](FleetClient& client) {
    while (true) {
      const std::string name = "t" + std::to_string(++number);
      const auto status = write_tenant(client, name);
      if (!status.ok()) return status;
      acknowledged.insert(name);
      if (number > 20'000) return grpc::Status::OK;
    }
  };
  {
    ServerOnDisk server(disk, at);
    FleetClient& client = server.client();
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(write_tenant(client, "t" + std::to_string(++number)).ok());
      acknowledged.insert("t" + std::to_string(number));
      // Under load: others write while a foreign file takes the space.
      std::jthread filler([&] { disk.fill(); });
      const auto refused = write_until_refused(client);
      filler.join();
      EXPECT_TRUE(refused.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
                  refused.error_code() == grpc::StatusCode::UNAVAILABLE)
          << refused.error_code() << " " << refused.error_message();
      EXPECT_NE(refused.error_message().find("full"), std::string::npos) << refused.error_message();
      EXPECT_TRUE(read_tenant(client, *acknowledged.begin()).ok());
      EXPECT_TRUE(read_tenant(client, *acknowledged.rbegin()).ok());
      disk.free();
      ASSERT_TRUE(eventually([&] {
        const std::string name = "t" + std::to_string(++number);
        const bool written = write_tenant(client, name).ok();
        if (written) acknowledged.insert(name);
        return written;
      }));
    }
  }
  ServerOnDisk server(disk, at);
  for (const std::string& name : acknowledged)
    ASSERT_TRUE(read_tenant(server.client(), name).ok()) << name;
}

}  // namespace
}  // namespace frameworks
