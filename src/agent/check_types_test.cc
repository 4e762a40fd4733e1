#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "agent/command_probe.h"
#include "agent/grpc_probe.h"
#include "agent/node_load.h"
#include "agent/passive_checks.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Until the attempt has an outcome, as the checks' thread does it.
ProbeOutcome finish(ProbeAttempt& attempt) {
  while (true) {
    const MonoTime now = system_clock().mono();
    if (auto outcome = attempt.step(now); outcome) return *outcome;
    pollfd wants = attempt.wants();
    const auto left = std::chrono::ceil<milliseconds>(attempt.deadline() - now).count();
    poll(&wants, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 60'000)));
  }
}

ProbeOutcome run(std::vector<std::string> command, Duration timeout = seconds(60)) {
  pb::InstanceChecks::Probe probe;
  for (auto& word : command) probe.add_command(std::move(word));
  return finish(*start_command(probe, system_clock().mono() + timeout));
}
ProbeOutcome shell(const std::string& script, Duration timeout = seconds(60)) {
  return run({"/bin/sh", "-c", script}, timeout);
}

TEST(CommandCheck, TheExitCodeIsTheVerdictAndTheFirstLineTheReason) {
  const ProbeOutcome good = shell("echo fine; echo more");
  EXPECT_TRUE(good.healthy && !good.degraded);
  EXPECT_EQ(good.reason, "/bin/sh: exit code 0: fine");
  const ProbeOutcome so_so = shell("echo slow >&2; exit 1");
  EXPECT_TRUE(!so_so.healthy && so_so.degraded);
  EXPECT_EQ(so_so.reason, "/bin/sh: exit code 1: slow");
  const ProbeOutcome bad = shell("exit 2");
  EXPECT_TRUE(!bad.healthy && !bad.degraded);
  EXPECT_EQ(shell("kill -TERM $$").reason, "/bin/sh was ended by signal 15");
}

TEST(CommandCheck, NoShellReadsTheArgumentsAndNothingOfTheAgentIsInherited) {
  EXPECT_EQ(run({"/bin/echo", "$HOME; `id`"}).reason, "/bin/echo: exit code 0: $HOME; `id`");
  EXPECT_EQ(shell("echo ${HOME:-none} $(ls /proc/self/fd | wc -l)")
                .reason.find("/bin/sh: exit code 0: none "),
            0u);
  EXPECT_NE(run({"/no/such/program"}).reason.find("No such file"), std::string::npos);
  EXPECT_FALSE(run({}).healthy);
}

TEST(CommandCheck, WhatDoesNotEndInTimeIsKilledWithItsWholeGroup) {
  const std::string mark = "31.4159" + std::to_string(getpid());
  const ProbeOutcome late = shell("sleep " + mark + " & sleep 60", milliseconds(300));
  EXPECT_FALSE(late.healthy);
  EXPECT_EQ(late.reason, "/bin/sh did not end in time and was killed");
  // Killed is not gone at once.
  bool is_gone = false;
  for (int i = 0; i < 1000 && !is_gone; ++i) {
    is_gone = run({"/usr/bin/pgrep", "-f", "^sleep " + mark}).degraded;
    system_clock().sleep_for(milliseconds(10), {});
  }
  EXPECT_TRUE(is_gone);
}

TEST(CommandCheck, EndlessOutputAndBytesThatAreNoTextAreBounded) {
  const ProbeOutcome much = shell("head -c 3000000 /dev/zero; exit 2");
  EXPECT_LT(much.reason.size(), 400u);
  EXPECT_EQ(shell("printf '\\377\\033x'").reason, "/bin/sh: exit code 0: ??x");
}

// Answers every call with the same bytes, or with nothing at all.
class HealthServer {
 public:
  explicit HealthServer(std::optional<std::string> answer, grpc::Status status = {})
      : service_(std::move(answer), std::move(status)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~HealthServer() { server_->Shutdown(std::chrono::system_clock::time_point()); }

  ProbeOutcome check(Duration timeout = seconds(60)) const {
    pb::InstanceChecks::Probe probe;
    probe.set_target("127.0.0.1:" + std::to_string(port_));
    return finish(*start_grpc_check(probe, system_clock().mono() + timeout));
  }

 private:
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    Reactor(const std::optional<std::string>& answer, grpc::Status status)
        : answer_(answer), status_(std::move(status)) {
      StartRead(&request_);
    }
    void OnReadDone(bool) override {
      if (!status_.ok()) return Finish(status_);
      if (!answer_) return;  // until the caller gives up
      const grpc::Slice slice(*answer_);
      response_ = grpc::ByteBuffer(&slice, 1);
      StartWriteAndFinish(&response_, {}, grpc::Status::OK);
    }
    void OnCancel() override {
      if (!answer_ && status_.ok()) Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    const std::optional<std::string> answer_;
    grpc::Status status_;
    grpc::ByteBuffer request_;
    grpc::ByteBuffer response_;
  };
  class Service final : public grpc::CallbackGenericService {
   public:
    Service(std::optional<std::string> answer, grpc::Status status)
        : answer_(std::move(answer)), status_(std::move(status)) {}
    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
      return new Reactor(answer_, status_);
    }

   private:
    std::optional<std::string> answer_;
    grpc::Status status_;
  };
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(GrpcCheck, ServingIsHealthyAndAllElseIsNot) {
  EXPECT_TRUE(HealthServer("\x08\x01").check().healthy);
  const ProbeOutcome not_serving = HealthServer("\x08\x02").check();
  EXPECT_FALSE(not_serving.healthy);
  EXPECT_NE(not_serving.reason.find("not serving"), std::string::npos);
  EXPECT_FALSE(HealthServer("").check().healthy);
  const ProbeOutcome unknown =
      HealthServer("", {grpc::StatusCode::NOT_FOUND, "no such service"}).check();
  EXPECT_NE(unknown.reason.find("no such service"), std::string::npos);
}

TEST(GrpcCheck, NonsenseSilenceAndTooMuchAreFailures) {
  EXPECT_NE(HealthServer("\xff\xff").check().reason.find("without sense"), std::string::npos);
  EXPECT_FALSE(HealthServer(std::string(100'000, 'x')).check().healthy);
  EXPECT_NE(HealthServer(std::nullopt).check(milliseconds(300)).reason.find("in time"),
            std::string::npos);
}

TEST(GrpcCheck, ItsMessagesAreTheProtocols) {
  EXPECT_EQ(health_request(""), "");
  EXPECT_EQ(health_request("a.B"),
            "\x0a\x03"
            "a.B");
  EXPECT_EQ(health_status("\x08\x01"), 1);
  EXPECT_EQ(health_status(""), 0);
  EXPECT_EQ(health_status("\x0a\x01x"), -1);
  EXPECT_EQ(health_status("\x08"), -1);
}

class PassiveTest : public ::testing::Test {
 protected:
  PassiveTest() {
    auto& instance = *section_.add_instances();
    instance.set_instance("web.a");
    auto& probe = *instance.add_probes();
    probe.set_name("self");
    probe.set_type(pb::CHECK_TYPE_PASSIVE);
    checks_.set(section_);
  }
  std::optional<ProbeOutcome> now() {
    return checks_.start("web.a", "self", seconds(10))->step(clock_.mono());
  }
  ManualClock clock_;
  PassiveChecks checks_{clock_};
  pb::ChecksSection section_;
};

TEST_F(PassiveTest, TheNewestWordHoldsUntilItIsTooOld) {
  EXPECT_FALSE(now()) << "it has time to speak";
  ASSERT_TRUE(checks_.tell("web.a", "self", "healthy, 3 workers\n"));
  EXPECT_FALSE(checks_.tell("web.a", "self", "great"));
  EXPECT_TRUE(now()->healthy);
  ASSERT_TRUE(checks_.tell("web.a", "self", "degraded: one worker"));
  EXPECT_TRUE(now()->degraded);
  clock_.advance(seconds(14));
  EXPECT_TRUE(now()->degraded);
  clock_.advance(seconds(1));
  EXPECT_FALSE(now()->healthy || now()->degraded);
  EXPECT_EQ(now()->reason, "it said nothing for 15 s");
}

TEST_F(PassiveTest, WhoNeverSaysAnythingFails) {
  clock_.advance(seconds(15));
  EXPECT_FALSE(now()->healthy);
}

TEST_F(PassiveTest, OnlyWhatThePlanHasIsTaken) {
  EXPECT_EQ(checks_.tell("web.a", "other", "healthy").error().code(), Code::kNotFound);
  EXPECT_EQ(checks_.tell("web.a", "self", "").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(checks_.tell("web.a", "self", "healthyish").error().code(), Code::kInvalidArgument);
  checks_.set({});
  EXPECT_FALSE(checks_.tell("web.a", "self", "healthy"));
}

TEST(NodeLoad, ReadsWhatTheKernelSays) {
  EXPECT_EQ(parse_cpu("cpu  10 0 20 60 10 0 0 0 5 0\ncpu0 1 2 3\n"), (std::pair{30.0, 100.0}));
  EXPECT_EQ(parse_cpu("intr 5"), std::nullopt);
  EXPECT_EQ(parse_memory("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n"), 0.75);
  EXPECT_EQ(parse_memory("MemTotal: 1000 kB\n"), std::nullopt);
  EXPECT_EQ(parse_sent("Inter-| Receive\n face |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n"
                       "  eth0: 1 2 3 4 5 6 7 8 700 1 0\n   fw0: 1 2 3 4 5 6 7 8 600 1 0\n"),
            700);
}

}  // namespace
}  // namespace frameworks
