// Real machines: needs root and what `frameworks-hostd check` looks for, and the base image of
// tools/base-image. Skipped, with the reason, elsewhere. ctest label "machines".
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <csignal>
#include <future>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "hostd/names.h"
#include "hostd/namespaces.h"
#include "hostd/processes.h"
#include "hostd/requirements.h"
#include "hostd/state.h"
#include "machine/provisioning/hostd_machines.h"
#include "machine/provisioning/machines_contract.h"

namespace frameworks::hostd {
namespace {

bool listens(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

using provisioning::Machines;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace fs = std::filesystem;

constexpr const char* kProgram = FRAMEWORKS_HOSTD;
constexpr const char* kBase = "/var/cache/frameworks/base";

std::string why_no_machines() {
  std::error_code ignored;
  if (!fs::exists(kBase, ignored)) return "no base image; tools/base-image makes it";
  for (const Requirement& requirement : check_requirements("/tmp"))
    if (!requirement.met) return requirement.name + ": " + requirement.message;
  return "";
}

bool wait_until(const std::function<bool()>& condition, Duration patience = seconds(15)) {
  const MonoTime deadline = system_clock().mono() + patience;
  while (!condition()) {
    if (system_clock().mono() > deadline) return false;
    system_clock().sleep_for(milliseconds(10), {});
  }
  return true;
}

// An instance with a name and directory of its own; gone, with all it made, at the end.
class Instance final : public provisioning::MachinesUnderTest {
 public:
  Instance() : reason_(why_no_machines()) {
    static int count = 0;
    name_ = fmt::format("t{}-{}", getpid(), ++count);
    if (!reason_.empty()) return;
    auto made = TemporaryDirectory::make("hostd");
    CHECK(made.has_value());
    directory_ = std::make_unique<TemporaryDirectory>(std::move(*made));
    start();
    machines_ = provisioning::connect_hostd(socket());
  }
  ~Instance() override {
    if (!reason_.empty()) return;
    EXPECT_TRUE(down());
  }

  std::string why_not() override { return reason_; }
  Machines& machines() override { return *machines_; }
  const std::string& name() const { return name_; }
  StateDirectory state() const { return StateDirectory(directory_->path() / "state"); }
  fs::path socket() const { return state().path() / "hostd.sock"; }

  void start() {
    std::error_code ignored;
    fs::remove(socket(), ignored);
    const auto started =
        spawn_detached({.argv = {kProgram, "--name", name_, "--state", state().path().string()},
                        .log = directory_->path() / "daemon.log",
                        .cgroups = {}});
    CHECK(started.has_value());
    daemon_ = *started;
    CHECK(wait_until([&] { return listens(socket()); }));  // the file is there before that
  }
  void kill_daemon() {
    CHECK(send_signal(daemon_, SIGKILL).has_value());
    CHECK(wait_until([&] { return !is_alive(daemon_); }));
  }
  bool down() const {
    return run_checked(
               {.argv = {kProgram, "down", "--name", name_, "--state", state().path().string()}})
        .has_value();
  }
  // In the machine.
  std::string exec(const std::string& machine, std::vector<std::string> command) const {
    std::vector<std::string> argv{
        kProgram, "exec", "--name", name_, "--state", state().path().string(), machine, "--"};
    argv.insert(argv.end(), command.begin(), command.end());
    const auto out = run({.argv = argv});
    return out ? out->out : "";
  }
  fs::path fabric() const { return namespace_path(fabric_namespace(name_)); }

 private:
  std::string reason_;
  std::string name_;
  std::unique_ptr<TemporaryDirectory> directory_;
  v1::ProcessIdentity daemon_;
  std::unique_ptr<Machines> machines_;
};

}  // namespace
}  // namespace frameworks::hostd

namespace frameworks::provisioning {
INSTANTIATE_TEST_SUITE_P(Hostd, MachinesContract,
                         testing::Values([] { return std::make_unique<hostd::Instance>(); }));
}  // namespace frameworks::provisioning

namespace frameworks::hostd {
namespace {

class LocalMachines : public testing::Test {
 protected:
  void SetUp() override {
    if (!instance_.why_not().empty()) GTEST_SKIP() << instance_.why_not();
    links(seconds(0));
  }

  void links(Duration delay, bool down = false) {
    v1::EnsureFabricRequest request;
    request.set_host_address("10.99.0.1/16");
    for (const char* region : {"eu", "us"}) {
      auto* link = request.add_links();
      link->set_region(region);
      link->mutable_delay()->set_nanos(static_cast<int32_t>(delay.count()));
      link->set_down(down);
    }
    const auto made = machines().ensure_fabric(request);
    ASSERT_TRUE(made) << made.error().text();
  }
  v1::LocalMachine make(const std::string& name, const std::string& region, const std::string& ip) {
    v1::MachineSpec spec;
    spec.set_name(name);
    spec.set_region(region);
    spec.set_address(ip + "/16");
    spec.set_cpus(1);
    spec.set_memory_mb(256);
    const auto made = machines().ensure(spec);
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    return made ? made->machine : v1::LocalMachine();
  }
  Machines& machines() { return instance_.machines(); }
  // The first machine by name. A daemon that has just been started may not be connected to yet.
  v1::LocalMachine first() {
    v1::LocalMachine out;
    EXPECT_TRUE(wait_until([&] {
      const auto all = machines().list();
      if (all && !all->empty()) out = all->front();
      return all && !all->empty();
    }));
    return out;
  }

  // A connection from the fabric that has got the SSH banner.
  Fd connect_ssh(const char* ip) {
    Fd fd;
    const Status done = in_network_namespace(instance_.fabric(), [&]() -> Status {
      fd = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(22);
      inet_pton(AF_INET, ip, &to.sin_addr);
      if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        return errno_error("connect");
      char buffer[256];
      if (recv(fd.get(), buffer, sizeof buffer, 0) <= 0) return errno_error("recv");
      return {};
    });
    EXPECT_TRUE(done) << (done ? "" : done.error().text());
    return fd;
  }

  Instance instance_;
};

TEST_F(LocalMachines, FiveStartTogetherInFewSeconds) {
  const MonoTime start = system_clock().mono();
  std::vector<std::future<v1::LocalMachine>> made;
  for (int i = 1; i <= 5; ++i)
    made.push_back(std::async(std::launch::async, [this, i] {
      return make(fmt::format("m{}", i), i % 2 == 0 ? "us" : "eu", fmt::format("10.99.1.{}", i));
    }));
  for (auto& machine : made) EXPECT_TRUE(machine.get().ready());
  const Duration took = system_clock().mono() - start;
  RecordProperty("took", human_duration(took));
  EXPECT_LT(took, seconds(30));
}

TEST_F(LocalMachines, AreAsFarApartAsTheirRegionsLinksSay) {
  make("eu-1", "eu", "10.99.1.1");
  make("us-1", "us", "10.99.1.2");
  links(milliseconds(20));
  const MonoTime before = system_clock().mono();
  const std::string out = instance_.exec("eu-1", {"ping", "-c1", "-W2", "10.99.1.2"});
  EXPECT_NE(out.find(" 0% packet loss"), std::string::npos) << out;
  EXPECT_GE(system_clock().mono() - before, milliseconds(80));
  links(milliseconds(20), true);
  EXPECT_NE(instance_.exec("eu-1", {"ping", "-c1", "-W1", "10.99.1.2"}).find("100% packet loss"),
            std::string::npos);
  EXPECT_NE(instance_.exec("eu-1", {"ping", "-c1", "-W1", "10.99.0.1"}).find(" 0% packet loss"),
            std::string::npos);
}

TEST_F(LocalMachines, HaveNoWayOut) {
  make("eu-1", "eu", "10.99.1.1");
  EXPECT_EQ(instance_.exec("eu-1", {"ip", "route", "show", "default"}), "");
  const auto inside = interfaces_in(instance_.fabric());
  ASSERT_TRUE(inside);
  for (const std::string& name : inside->names)
    EXPECT_TRUE(name == "lo" || name.starts_with("br-") || name.starts_with("wan-") ||
                name.starts_with("m-"))
        << name;
}

TEST_F(LocalMachines, APowerCutIsSilent) {
  make("eu-1", "eu", "10.99.1.1");
  const Fd connection = connect_ssh("10.99.1.1");
  ASSERT_TRUE(machines().set_power("eu-1", v1::MACHINE_POWER_OFF));
  // A FIN would read as the end, a RST as an error; silence is neither.
  pollfd waiting{connection.get(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 300), 0);
}

TEST_F(LocalMachines, KeepTheirDiskOverAPowerCutAndNothingElse) {
  make("eu-1", "eu", "10.99.1.1");
  instance_.exec("eu-1", {"sh", "-c", "echo kept > /var/lib/kept; nft add table inet gone"});
  ASSERT_TRUE(machines().set_power("eu-1", v1::MACHINE_POWER_OFF));
  ASSERT_TRUE(machines().set_power("eu-1", v1::MACHINE_POWER_ON));
  EXPECT_EQ(instance_.exec("eu-1", {"cat", "/var/lib/kept"}), "kept\n");
  EXPECT_EQ(instance_.exec("eu-1", {"nft", "list", "tables"}), "");
}

TEST_F(LocalMachines, OutliveTheDaemonAndAreFoundAgain) {
  const v1::LocalMachine before = make("eu-1", "eu", "10.99.1.1");
  make("us-1", "us", "10.99.1.2");
  instance_.kill_daemon();
  EXPECT_NE(instance_.exec("eu-1", {"ping", "-c1", "-W2", "10.99.1.2"}).find(" 0% packet loss"),
            std::string::npos);
  instance_.start();
  const v1::LocalMachine after = first();
  EXPECT_EQ(after.pid(), before.pid());
  EXPECT_EQ(after.boots(), 1);
  EXPECT_TRUE(after.ready());
}

TEST_F(LocalMachines, GetAKilledWanEmulatorBack) {
  make("eu-1", "eu", "10.99.1.1");
  make("us-1", "us", "10.99.1.2");
  ASSERT_TRUE(send_signal(instance_.state().read_host()->wan(), SIGKILL));
  EXPECT_TRUE(wait_until([&] {
    return instance_.exec("eu-1", {"ping", "-c1", "-W1", "10.99.1.2"}).find(" 0% packet loss") !=
           std::string::npos;
  }));
}

TEST_F(LocalMachines, StartAgainWhenTheirSupervisorIsKilled) {
  const v1::LocalMachine before = make("eu-1", "eu", "10.99.1.1");
  ASSERT_TRUE(send_signal(instance_.state().read_supervisor("eu-1").process(), SIGKILL));
  EXPECT_TRUE(wait_until([&] { return first().ready() && first().pid() != before.pid(); }));
}

TEST_F(LocalMachines, RebootAndPowerOffFromInside) {
  const v1::LocalMachine before = make("eu-1", "eu", "10.99.1.1");
  instance_.exec("eu-1", {"systemctl", "reboot"});
  EXPECT_TRUE(wait_until([&] { return first().boots() == 2 && first().ready(); }));
  EXPECT_EQ(first().pid(), before.pid());
  instance_.exec("eu-1", {"systemctl", "poweroff"});
  EXPECT_TRUE(wait_until([&] { return first().power() == v1::MACHINE_POWER_OFF; }));
  EXPECT_EQ(first().message(), "powered off from inside");
  EXPECT_TRUE(make("eu-1", "eu", "10.99.1.1").ready());
}

TEST_F(LocalMachines, LeaveNothingBehindWhenTheDaemonWasKilled) {
  make("eu-1", "eu", "10.99.1.1");
  const v1::HostRecord host = *instance_.state().read_host();
  const auto supervisor = instance_.state().read_supervisor("eu-1").process();
  instance_.kill_daemon();
  ASSERT_TRUE(instance_.down());
  EXPECT_FALSE(is_alive(host.wan()));
  EXPECT_FALSE(is_alive(supervisor));
  EXPECT_FALSE(fs::exists(instance_.fabric()));
  EXPECT_FALSE(fs::exists(namespace_path(machine_namespace(instance_.name(), "eu-1"))));
  for (const std::string& cgroup : host.cgroups()) EXPECT_FALSE(fs::exists(cgroup)) << cgroup;
  EXPECT_FALSE(fs::exists(instance_.state().path()));
  EXPECT_EQ(read_file("/proc/self/mountinfo")->find(instance_.state().path().string()),
            std::string::npos);
  EXPECT_TRUE(instance_.down()) << "again";
}

}  // namespace
}  // namespace frameworks::hostd
