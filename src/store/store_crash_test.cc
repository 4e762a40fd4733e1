// A server killed at any moment loses nothing that it acknowledged.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "base/fd.h"
#include "base/file.h"
#include "store/log_contract.h"
#include "store/store.h"

namespace frameworks {
namespace {

// What the child says of a write once it was told that it is on disk.
struct Acknowledged {
  int64_t number;
  Revision revision;
};

Edit put_number(int64_t number) {
  return [=](Transaction& t) -> Status {
    // One name for ever, so that there are updates too; and a second one, to see half transactions.
    for (const std::string& name : {fmt::format("n{}", number), std::string("latest")}) {
      pb::Tenant tenant;
      tenant.mutable_metadata()->set_name(name);
      tenant.mutable_spec()->set_plan(std::to_string(number));
      t.put(tenant);
    }
    return {};
  };
}

// Writes until it is killed, up to 16 writes at a time. Never returns.
[[noreturn]] void write_for_ever(const std::string& path, int pipe) {
  auto log = open_sqlite_log(path);
  if (!log) _exit(3);
  // Upkeep runs all the time, to be interrupted as well.
  auto store = Store::open(*std::move(log), system_clock(),
                           {.window = 10, .retain = 50, .compact_every = 32});
  if (!store) _exit(4);
  int64_t next = 0;
  for (const auto& tenant : (*store)->snapshot()->list<pb::Tenant>())
    next = std::max<int64_t>(next, std::stoll(tenant->spec().plan()) + 1);
  while (true) {
    for (int i = 0; i < 15; ++i, ++next)
      (*store)->write_async("account/test", put_number(next),
                            [pipe, number = next](const Result<Committed>& done) {
                              const Acknowledged message{number, done ? done->revision : -1};
                              if (write(pipe, &message, sizeof message) != sizeof message) _exit(5);
                            });
    if (!(*store)->write("account/test", [](Transaction&) -> Status { return {}; })) _exit(6);
  }
}

class Child {
 public:
  explicit Child(const std::string& path) {
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_ = fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      close(ends[0]);
      write_for_ever(path, ends[1]);
    }
    close(ends[1]);
    pipe_.reset(ends[0]);
  }
  // False when the child has gone.
  bool read_one(Acknowledged& out) {
    return read(pipe_.get(), &out, sizeof out) == static_cast<ssize_t>(sizeof out);
  }
  void kill_it() {
    kill(pid_, SIGKILL);
    int status = 0;
    CHECK(waitpid(pid_, &status, 0) == pid_);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
  }

 private:
  Fd pipe_;
  pid_t pid_ = 0;
};

TEST(StoreCrash, NothingAcknowledgedIsLostAndNoTransactionIsHalfThere) {
  const TemporaryDirectory directory = *TemporaryDirectory::make();
  const std::string path = directory.path() / "fleet.db";
  std::mt19937 random(20'240'229);
  Acknowledged last{-1, 0};
  for (int round = 0; round < 12; ++round) {
    Child child(path);
    const int kill_after = static_cast<int>(random() % 400) + 1;
    Acknowledged seen{};
    for (int i = 0; i < kill_after && child.read_one(seen); ++i) last = seen;
    child.kill_it();
    while (child.read_one(seen)) last = seen;  // what it had said before it died

    auto log = open_sqlite_log(path);
    ASSERT_TRUE(log) << log.error().text();
    const auto loaded = (*log)->load();
    ASSERT_TRUE(loaded) << loaded.error().text();
    ASSERT_GE(loaded->revision(), last.revision) << "round " << round;
    const auto* latest = loaded->find<pb::Tenant>("latest");
    ASSERT_NE(latest, nullptr);
    const int64_t newest = std::stoll(latest->spec().plan());
    ASSERT_GE(newest, last.number) << "round " << round;
    for (int64_t number = 0; number <= newest; ++number)
      ASSERT_NE(loaded->find<pb::Tenant>(fmt::format("n{}", number)), nullptr) << number;
    ASSERT_EQ(loaded->list<pb::Tenant>().size(), static_cast<size_t>(newest) + 2);
    last = {newest, loaded->revision()};
  }
}

}  // namespace
}  // namespace frameworks
