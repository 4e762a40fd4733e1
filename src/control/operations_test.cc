#include "control/operations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <future>

#include "base/fd.h"
#include "base/file.h"
#include "control/operation_journal.h"
#include "store/fake_log.h"
#include "store/fake_transaction.h"

namespace frameworks {
namespace {

using namespace std::chrono_literals;

// "1 machine: provision started" a line.
std::string text_of(const std::vector<pb::OperationEvent>& events) {
  std::string out;
  for (const pb::OperationEvent& event : events)
    out += fmt::format("{} {}: {}{}\n", event.sequence(), event.layer(), event.message(),
                       event.total() > 0 ? fmt::format("{}/{}", event.done(), event.total()) : "");
  return out;
}

Step step(const std::string& name, std::function<Status(OperationContext&)> run) {
  return {name, "config", std::move(run)};
}
Status succeed(OperationContext&) { return {}; }

// A step that a test holds up, and that says when it is there.
class Gate {
 public:
  Status pass(OperationContext& context) {
    std::unique_lock lock(mutex_);
    ++entered_;
    changed_.notify_all();
    if (!changed_.wait(lock, context.stop(), [&] { return open_; }))
      return Error(Code::kCancelled, "stopped at the gate");
    return {};
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait_entered(int times = 1) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return entered_ >= times; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int entered_ = 0;
  bool open_ = false;
};

class OperationsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto log = std::make_unique<FaultyLog>(std::make_unique<FakeLog>(), faults_);
    store_ = Store::open(std::move(log), clock_, {}).value();
  }
  // A new server on the same store.
  void serve(std::vector<Step> steps, size_t keep = 100) {
    operations_.reset();
    operations_ = std::make_unique<Operations>(*store_, clock_, events_, Operations::Options{keep});
    operations_->register_type("apply", std::move(steps));
    ASSERT_TRUE(operations_->resume_all());
  }
  std::string start(Revision revision = 1) {
    const auto name = operations_->start("apply", revision, "account/test");
    EXPECT_TRUE(name) << name.error().text();
    return name.value_or("");
  }
  pb::OperationStatus wait(const std::string& name) {
    const auto status = operations_->wait(name);
    EXPECT_TRUE(status) << status.error().text();
    return status.value_or(pb::OperationStatus());
  }
  pb::Operation get(const std::string& name) {
    const auto* found = store_->snapshot()->find<pb::Operation>(name);
    return found == nullptr ? pb::Operation() : *found;
  }
  std::vector<pb::OperationEvent> events(const std::string& name, int64_t after = 0) {
    auto watch = operations_->watch(name, after, [] {});
    EXPECT_TRUE(watch);
    return (*watch)->next(1'000'000)->events;
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  std::filesystem::path events_ = directory_.path() / "operations";
  ManualClock clock_;
  std::shared_ptr<FaultyLog::Faults> faults_ = std::make_shared<FaultyLog::Faults>();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Operations> operations_;
};

TEST_F(OperationsTest, RunsItsStepsInOrderAndSucceeds) {
  std::string order;
  serve({step("provision",
              [&](OperationContext&) -> Status {
                order += "1";
                return {};
              }),
         step("configure", [&](OperationContext&) -> Status {
           order += "2";
           return {};
         })});
  const std::string name = start(7);
  EXPECT_EQ(name, "apply-1");
  const pb::OperationStatus status = wait(name);
  EXPECT_EQ(order, "12");
  EXPECT_EQ(status.state(), pb::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(status.attempts(), 1);
  ASSERT_EQ(status.steps_size(), 2);
  EXPECT_EQ(status.steps(1).name(), "configure");
  EXPECT_EQ(status.steps(1).layer(), "config");
  EXPECT_EQ(status.steps(1).state(), pb::OPERATION_STATE_SUCCEEDED);
  EXPECT_TRUE(status.has_start_time() && status.has_end_time());
  EXPECT_EQ(get(name).spec().revision(), 7);
  EXPECT_EQ(get(name).spec().actor(), "account/test");
  EXPECT_EQ(start(8), "apply-2");
}

TEST_F(OperationsTest, EventsHaveASequenceATimeAndTheStepsLayer) {
  serve({step("configure", [&](OperationContext& context) -> Status {
    clock_.advance(350ms);
    pb::OperationEvent event;
    event.set_object("core-1");
    event.set_message("install packages");
    context.emit(event);
    context.progress("core-1", 3, 5);
    return {};
  })});
  const std::string name = start();
  wait(name);
  const auto seen = events(name);
  EXPECT_EQ(
      text_of(seen),
      "1 config: configure\n2 config: install packages\n3 config: 3/5\n4 config: configure\n");
  EXPECT_EQ(seen[0].result(), pb::OPERATION_EVENT_RESULT_STARTED);
  EXPECT_EQ(seen[1].object(), "core-1");
  EXPECT_EQ(seen[1].elapsed_ms(), 350);
  EXPECT_EQ(seen[1].time().seconds(), 1'700'000'000);
  EXPECT_EQ(seen[3].result(), pb::OPERATION_EVENT_RESULT_OK);
  EXPECT_EQ(text_of(events(name, 3)), "4 config: configure\n");
}

TEST_F(OperationsTest, AFailedStepEndsTheOperationWithItsReason) {
  bool is_reached = false;
  serve({step("provision",
              [](OperationContext&) -> Status {
                return Error(Code::kUnavailable, "no room on the host");
              }),
         step("configure", [&](OperationContext&) -> Status {
           is_reached = true;
           return {};
         })});
  const std::string name = start();
  const pb::OperationStatus status = wait(name);
  EXPECT_EQ(status.state(), pb::OPERATION_STATE_FAILED);
  EXPECT_EQ(status.error(), "provision: no room on the host");
  EXPECT_EQ(status.steps(0).state(), pb::OPERATION_STATE_FAILED);
  EXPECT_EQ(status.steps(0).message(), "no room on the host");
  EXPECT_FALSE(is_reached);
  EXPECT_EQ(events(name).back().result(), pb::OPERATION_EVENT_RESULT_FAILED);
}

TEST_F(OperationsTest, OneRunsAndLaterOnesBecomeOneThatWaits) {
  Gate gate;
  std::vector<Revision> revisions;
  serve({step("provision", [&](OperationContext& context) -> Status {
    revisions.push_back(context.revision());
    return gate.pass(context);
  })});
  const std::string first = start(10);
  gate.wait_entered();
  const std::string second = start(11);
  EXPECT_NE(second, first);
  EXPECT_EQ(start(12), second);
  EXPECT_EQ(start(5), second);
  gate.open();
  wait(second);
  EXPECT_EQ(get(first).status().state(), pb::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(revisions, (std::vector<Revision>{10, 12}));
}

TEST_F(OperationsTest, AChangeAndItsOperationCanBeOneTransaction) {
  serve({step("provision", succeed)});
  std::string name;
  const auto written = store_->write("account/test", [&](Transaction& t) -> Status {
    name = Operations::enqueue(t, "apply", 0, "account/test");
    return {};
  });
  ASSERT_TRUE(written);
  operations_->wake();
  wait(name);
  EXPECT_EQ(get(name).spec().revision(), written->revision);
}

TEST_F(OperationsTest, AWatcherGetsEverythingWhetherItComesEarlyOrLate) {
  Gate gate;
  serve({step("configure", [&](OperationContext& context) -> Status {
    for (int i = 1; i <= 500; ++i) {
      context.progress("host", i, 1'000);
      if (i == 250) RETURN_IF_ERROR(gate.pass(context));
    }
    return {};
  })});
  const std::string name = start();
  gate.wait_entered();
  std::mutex mutex;
  std::condition_variable changed;
  bool is_poked = true;
  auto watch = operations_->watch(name, 0, [&] {
    std::lock_guard lock(mutex);
    is_poked = true;
    changed.notify_all();
  });
  ASSERT_TRUE(watch);
  int64_t seen = 0;
  std::optional<pb::OperationStatus> end;
  while (!end) {
    auto progress = (*watch)->next(7);
    ASSERT_TRUE(progress);
    for (const auto& event : progress->events) ASSERT_EQ(event.sequence(), ++seen);
    end = progress->final;
    if (seen >= 200) gate.open();
    if (progress->events.empty() && !end) {
      std::unique_lock lock(mutex);
      ASSERT_TRUE(changed.wait_for(lock, 20s, [&] { return is_poked; }));
      is_poked = false;
    }
  }
  EXPECT_EQ(end->state(), pb::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(seen, 502);
  EXPECT_EQ(events(name).size(), 502u);
}

TEST_F(OperationsTest, CancellingStopsTheStepAndTheRestIsNotRun) {
  Gate gate;
  bool is_reached = false;
  serve({step("provision", [&](OperationContext& context) { return gate.pass(context); }),
         step("configure", [&](OperationContext&) -> Status {
           is_reached = true;
           return {};
         })});
  const std::string name = start();
  gate.wait_entered();
  const std::string waiting = start(2);
  ASSERT_TRUE(operations_->cancel(waiting));
  EXPECT_EQ(wait(waiting).state(), pb::OPERATION_STATE_CANCELLED);
  ASSERT_TRUE(operations_->cancel(name));
  const pb::OperationStatus status = wait(name);
  EXPECT_EQ(status.state(), pb::OPERATION_STATE_CANCELLED);
  EXPECT_EQ(status.steps(0).state(), pb::OPERATION_STATE_CANCELLED);
  EXPECT_FALSE(is_reached);
  EXPECT_EQ(operations_->cancel(name).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(operations_->cancel("apply-99").error().code(), Code::kNotFound);
}

TEST_F(OperationsTest, AStoppedServerInterruptsAndTheNextOneContinues) {
  Gate gate;
  int provisioned = 0;
  serve({step("provision",
              [&](OperationContext&) -> Status {
                ++provisioned;
                return {};
              }),
         step("configure", [&](OperationContext& context) { return gate.pass(context); })});
  const std::string name = start();
  gate.wait_entered();
  operations_.reset();
  EXPECT_EQ(get(name).status().state(), pb::OPERATION_STATE_RUNNING);
  gate.open();
  serve({step("provision",
              [&](OperationContext&) -> Status {
                ++provisioned;
                return {};
              }),
         step("configure", [&](OperationContext& context) { return gate.pass(context); })});
  const pb::OperationStatus status = wait(name);
  EXPECT_EQ(status.state(), pb::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(status.attempts(), 2);
  EXPECT_EQ(provisioned, 1);
  EXPECT_NE(text_of(events(name)).find("taken up again, attempt 2"), std::string::npos);
}

TEST_F(OperationsTest, OneThatWasCancelledBeforeTheCrashIsNotTakenUp) {
  Gate gate;
  serve({step("provision", [&](OperationContext& context) { return gate.pass(context); })});
  const std::string name = start();
  gate.wait_entered();
  operations_.reset();
  ASSERT_TRUE(store_->write("account/test", [&](Transaction& t) -> Status {
    pb::Operation operation = *t.snapshot().find<pb::Operation>(name);
    operation.mutable_spec()->set_cancelled(true);
    t.put(operation);
    return {};
  }));
  bool is_run = false;
  serve({step("provision", [&](OperationContext&) -> Status {
    is_run = true;
    return {};
  })});
  const pb::OperationStatus status = wait(name);
  EXPECT_EQ(status.state(), pb::OPERATION_STATE_CANCELLED);
  EXPECT_EQ(status.steps(0).state(), pb::OPERATION_STATE_CANCELLED);
  EXPECT_FALSE(is_run);
}

TEST_F(OperationsTest, AFullDiskHoldsAnOperationUpAndDoesNotFailIt) {
  Gate gate;
  serve({step("provision", [&](OperationContext& context) { return gate.pass(context); })});
  const std::string name = start();
  gate.wait_entered();
  faults_->set(FaultyLog::Fault::kBeforeAppend);
  gate.open();
  std::promise<pb::OperationStatus> end;
  std::jthread waiter([&] { end.set_value(wait(name)); });
  auto ended = end.get_future();
  EXPECT_EQ(ended.wait_for(50ms), std::future_status::timeout);
  faults_->set(FaultyLog::Fault::kNone);
  while (ended.wait_for(1ms) != std::future_status::ready) clock_.advance(1s);
  EXPECT_EQ(ended.get().state(), pb::OPERATION_STATE_SUCCEEDED);
}

TEST_F(OperationsTest, OldOperationsAndTheirEventsAreForgotten) {
  serve({step("provision", succeed)}, 3);
  std::string name;
  for (int i = 0; i < 6; ++i) wait(name = start(i + 1));
  EXPECT_EQ(name, "apply-6");
  EXPECT_EQ(store_->snapshot()->list<pb::Operation>().size(), 3u);
  operations_.reset();  // the sweep of the last one is done
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(events_))
    files.insert(entry.path().filename());
  EXPECT_EQ(files, (std::set<std::string>{"apply-4.jsonl", "apply-5.jsonl", "apply-6.jsonl"}));
}

TEST_F(OperationsTest, UnknownTypesAreRefusedAndThoseOfAnotherProgramFail) {
  ASSERT_TRUE(store_->write("account/test", [](Transaction& t) -> Status {
    Operations::enqueue(t, "teleport", 1, "account/test");
    return {};
  }));
  serve({step("provision", succeed)});
  EXPECT_EQ(operations_->start("teleport", 1, "account/test").error().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(wait("teleport-1").state(), pb::OPERATION_STATE_FAILED);
  EXPECT_EQ(operations_->watch("apply-1", 0, [] {}).error().code(), Code::kNotFound);
}

TEST(OperationQueue, AnOperationThatWaitsIsForTheNodesOfAllWhoAskedForIt) {
  FakeTransaction transaction;
  const auto ask = [&](const std::vector<std::string>& nodes) {
    const std::string name =
        Operations::enqueue(transaction, "configure", 1, "account/test", nodes);
    const auto* operation = transaction.snapshot().find<pb::Operation>(name);
    std::string out = name + ":";
    for (const std::string& node : operation->spec().nodes()) out += " " + node;
    return out;
  };
  EXPECT_EQ(ask({"b"}), "configure-1: b");
  EXPECT_EQ(ask({"c", "a", "b"}), "configure-1: a b c");
  EXPECT_EQ(ask({}), "configure-1:");  // all of them
  EXPECT_EQ(ask({"a"}), "configure-1:");
  pb::Operation running = *transaction.snapshot().find<pb::Operation>("configure-1");
  running.mutable_status()->set_state(pb::OPERATION_STATE_RUNNING);
  transaction.put(running);
  EXPECT_EQ(ask({"a"}), "configure-2: a");
}

TEST(OperationJournal, ATornLastLineIsCutOffAndTheSequenceGoesOn) {
  const TemporaryDirectory directory = *TemporaryDirectory::make();
  const auto path = directory.path() / "apply-1.jsonl";
  for (size_t cut = 0; cut < 60; ++cut) {
    std::filesystem::remove(path);
    pb::OperationEvent event;
    event.set_message("first");
    {
      auto journal = OperationJournal::open(path);
      ASSERT_TRUE(journal->append(event));
      event.set_message("second");
      ASSERT_TRUE(journal->append(event));
    }
    const auto size = std::filesystem::file_size(path);
    if (cut >= size) break;
    std::filesystem::resize_file(path, size - cut);
    auto journal = OperationJournal::open(path);
    ASSERT_TRUE(journal) << journal.error().text();
    event.set_message("third");
    ASSERT_TRUE(journal->append(event));
    const auto events = OperationJournalReader(path, 0).next(10);
    ASSERT_TRUE(events) << events.error().text();
    for (size_t i = 0; i < events->size(); ++i)
      EXPECT_EQ((*events)[i].sequence(), static_cast<int64_t>(i) + 1);
    EXPECT_EQ(events->back().message(), "third");
    EXPECT_EQ(events->size(), cut == 0 ? 3u : (*events)[0].message() == "first" ? 2u : 1u);
  }
}

TEST(OperationJournal, ALongLineIsReadWhole) {
  const TemporaryDirectory directory = *TemporaryDirectory::make();
  const auto path = directory.path() / "apply-1.jsonl";
  auto journal = OperationJournal::open(path);
  pb::OperationEvent event;
  event.set_message(std::string(300'000, 'x'));
  ASSERT_TRUE(journal->append(event));
  ASSERT_TRUE(journal->append(event));
  const auto events = OperationJournalReader(path, 0).next(10);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ((*events)[1].message().size(), 300'000u);
}

// A server that is killed in the midst of the second step. `pipe` hears when it is there.
[[noreturn]] void serve_until_killed(const std::filesystem::path& state, int pipe) {
  auto log = open_sqlite_log(state / "fleet.db");
  if (!log) _exit(3);
  auto store = Store::open(*std::move(log), system_clock(), {});
  if (!store) _exit(4);
  Operations operations(**store, system_clock(), state / "operations");
  operations.register_type(
      "apply", {step("provision",
                     [&](OperationContext&) -> Status {
                       std::ofstream(state / "provisioned", std::ios::app) << "x";
                       return {};
                     }),
                step("configure", [&](OperationContext& context) -> Status {
                  context.progress("host", 1, 2);
                  const char there = '!';
                  if (write(pipe, &there, 1) != 1) _exit(5);
                  (void)context.clock().sleep_for(std::chrono::hours(1), context.stop());
                  return {};
                })});
  if (!operations.resume_all()) _exit(6);
  (void)operations.start("apply", 1, "account/test");  // joins what is there already
  (void)operations.wait("apply-1");
  _exit(7);
}

TEST(OperationsCrash, AKilledServersOperationContinuesWithItsUnfinishedStep) {
  const TemporaryDirectory directory = *TemporaryDirectory::make();
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) serve_until_killed(directory.path(), ends[1]);
    close(ends[1]);
    const Fd pipe(ends[0]);
    char there = 0;
    EXPECT_EQ(read(pipe.get(), &there, 1), 1);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  }
  auto store =
      Store::open(open_sqlite_log(directory.path() / "fleet.db").value(), system_clock(), {});
  ASSERT_TRUE(store);
  Operations operations(**store, system_clock(), directory.path() / "operations");
  int configured = 0;
  operations.register_type("apply", {step("provision",
                                          [](OperationContext&) -> Status {
                                            return Error(Code::kInternal, "it was done already");
                                          }),
                                     step("configure", [&](OperationContext&) -> Status {
                                       ++configured;
                                       return {};
                                     })});
  ASSERT_TRUE(operations.resume_all());
  const auto end = operations.wait("apply-1");
  ASSERT_TRUE(end) << end.error().text();
  EXPECT_EQ(end->state(), pb::OPERATION_STATE_SUCCEEDED) << end->error();
  EXPECT_EQ(end->attempts(), 4);
  EXPECT_EQ(*read_file(directory.path() / "provisioned"), "x") << "nothing is made twice";
  EXPECT_EQ(configured, 1);
  const auto watch = operations.watch("apply-1", 0, [] {});
  const auto seen = (*watch)->next(1'000)->events;
  for (size_t i = 0; i < seen.size(); ++i)
    EXPECT_EQ(seen[i].sequence(), static_cast<int64_t>(i) + 1);
  EXPECT_GE(seen.size(), 9u);
}

}  // namespace
}  // namespace frameworks
