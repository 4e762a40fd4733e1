// Operations where several servers have one store: who does not hold the lease asks, who does runs.
#include <gtest/gtest.h>

#include <future>

#include "base/file.h"
#include "control/operations.h"
#include "store/fake_log.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

class NoLease final : public Lease {
 public:
  [[nodiscard]] const std::string& server() const override { return server_; }
  [[nodiscard]] bool held() const override { return false; }
  [[nodiscard]] Edit fenced(Edit) const override {
    return
        [](Transaction&) -> Status { return Error(Code::kFailedPrecondition, "not the holder"); };
  }
  [[nodiscard]] bool is_alive(const std::string&) const override { return true; }
  void on_change(std::function<void(bool)>) override {}
  void set_report(std::function<std::string()>) override {}
  [[nodiscard]] std::string report_of(const std::string&) const override { return {}; }
  Status start() override { return {}; }
  void stop() override {}

 private:
  const std::string server_ = "two";
};

class OperationsOfServers : public ::testing::Test {
 protected:
  void begin(const std::function<Status(OperationContext&)>& run) {
    for (Operations* each : {&holder_, &other_}) {
      each->register_type("apply", {{"only", "config", run}});
      ASSERT_TRUE(each->resume_all());
    }
  }

  TemporaryDirectory directory_ = TemporaryDirectory::make().value();
  std::unique_ptr<Store> store_ =
      Store::open(std::make_unique<FakeLog>(), system_clock(), {}).value();
  std::unique_ptr<Lease> lease_ = make_sole_lease("one");
  NoLease none_;
  Operations holder_{*store_, system_clock(), directory_.path() / "one", {.lease = lease_.get()}};
  Operations other_{*store_, system_clock(), directory_.path() / "two", {.lease = &none_}};
};

TEST_F(OperationsOfServers, WhatOneQueuesTheHolderRunsAndBothHearOfItsEnd) {
  begin([](OperationContext&) -> Status { return {}; });
  const auto name = other_.start("apply", 1, "test");
  ASSERT_TRUE(name);
  for (Operations* each : {&other_, &holder_}) {
    const auto ended = each->wait(*name);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->state(), pb::OPERATION_STATE_SUCCEEDED);
  }
}

TEST_F(OperationsOfServers, WhatOneCancelsTheHolderStops) {
  std::promise<void> entered;
  begin([&](OperationContext& context) -> Status {
    entered.set_value();
    (void)context.clock().sleep_for(1h, context.stop());
    return Error(Code::kCancelled, "stopped");
  });
  const auto name = other_.start("apply", 1, "test");
  ASSERT_TRUE(name);
  entered.get_future().wait();
  ASSERT_TRUE(other_.cancel(*name));
  const auto ended = other_.wait(*name);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->state(), pb::OPERATION_STATE_CANCELLED);
}

}  // namespace
}  // namespace frameworks
