// Three servers on a PostgreSQL with a synchronous standby, under writes and watches, while what
// can go away goes away: the server that holds the lease, the database, any server for a while, the
// database's machine. Then what everybody was told is looked at as a whole.
#include <gtest/gtest.h>

#include <random>

#include "frameworks/v1/lease.pb.h"
#include "linearizability.h"
#include "recorder.h"
#include "replica_process.h"
#include "store/test_postgres.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void sleep(milliseconds duration) { (void)system_clock().sleep_for(duration, {}); }

template <typename Done>
bool eventually(Done done, seconds limit = seconds(30)) {
  const auto deadline = system_clock().mono() + limit;
  while (!done()) {
    if (system_clock().mono() > deadline) return false;
    sleep(milliseconds(50));
  }
  return true;
}

class Failover : public testing::Test {
 protected:
  static constexpr int kReplicas = 3;
  static constexpr int kWriters = 4;

  void SetUp() override {
    auto primary = PostgresServer::start();
    if (!primary) GTEST_SKIP() << "PostgreSQL cannot be started here: " << primary.error().text();
    primary_ = *std::move(primary);
    auto standby = PostgresServer::start_standby(*primary_);
    ASSERT_TRUE(standby) << standby.error().text();
    standby_ = *std::move(standby);
    auto admin = Postgres::connect(primary_->conninfo("postgres"));
    ASSERT_TRUE(admin->run("CREATE DATABASE fleet"));
    // From here on nothing is acknowledged that the standby has not.
    ASSERT_TRUE(admin->run("ALTER SYSTEM SET synchronous_standby_names = '*'"));
    ASSERT_TRUE(admin->run("SELECT pg_reload_conf()"));
    const std::string store =
        fmt::format("host=127.0.0.1,127.0.0.1 port={},{} user=fleet dbname=fleet connect_timeout=2",
                    primary_->port(), standby_->port());
    for (int i = 0; i < kReplicas; ++i)
      replicas_.push_back(std::make_unique<ReplicaProcess>(
          directory_.path() / fmt::format("replica{}", i), fmt::format("replica{}", i), store,
          *PostgresServer::free_port()));
    ASSERT_NO_FATAL_FAILURE(start(0));
    for (int i = 1; i < kReplicas; ++i) {
      replicas_[0]->copy_keys_to(*replicas_[static_cast<size_t>(i)]);
      ASSERT_NO_FATAL_FAILURE(start(i));
    }
  }
  void TearDown() override {
    if (!HasFailure()) return;
    printf("seed: FW_SEED=%u\n", seed_);
    for (const auto& replica : replicas_) {
      const std::string log = replica->log();
      printf("---- %s\n%s\n", replica->name().c_str(),
             log.substr(log.size() > 6'000 ? log.size() - 6'000 : 0).c_str());
    }
  }

  ReplicaProcess& replica(int i) { return *replicas_[static_cast<size_t>(i)]; }
  void start(int i) {
    replica(i).start();
    ASSERT_TRUE(eventually([&] { return replica(i).is_serving(); })) << replica(i).log();
  }
  std::vector<Endpoint> endpoints() {
    std::vector<Endpoint> out;
    for (const auto& each : replicas_) out.push_back({each->channel(), each->token()});
    return out;
  }

  // The lease as replica `i` knows it.
  pb::LeaseSpec lease(int i) {
    if (operator_.empty()) operator_ = endpoints();
    const Endpoint& endpoint = operator_[static_cast<size_t>(i)];
    grpc::ClientContext context;
    endpoint.prepare(context, seconds(2));
    pb::GetRequest request;
    request.set_kind("Lease");
    request.set_name("servers");
    pb::GetResponse response;
    pb::Lease out;
    if (pb::Fleet::NewStub(endpoint.channel)->Get(&context, request, &response).ok())
      response.resource().UnpackTo(&out);
    return out.spec();
  }
  // Who holds it, as the first server that answers says; -1: nobody.
  int holder() {
    for (int i = 0; i < kReplicas; ++i) {
      const auto spec = lease(i);
      for (int j = 0; j < kReplicas; ++j)
        if (spec.holder() == replica(j).name()) return j;
    }
    return -1;
  }

  void kill_the_holder() {
    const int old = holder();
    ASSERT_GE(old, 0);
    const int other = (old + 1) % kReplicas;
    const int64_t epoch = lease(other).epoch();
    const auto began = system_clock().mono();
    replica(old).end(SIGKILL);
    EXPECT_TRUE(eventually([&] {
      const auto now = lease(other);
      return now.epoch() > epoch && now.holder() != replica(old).name();
    }));
    printf("the lease moved within %lld ms\n",
           static_cast<long long>((system_clock().mono() - began) / milliseconds(1)));
    EXPECT_LT(system_clock().mono() - began, seconds(10));
    ASSERT_NO_FATAL_FAILURE(start(old));
  }
  void restart_the_database() {
    primary_->end(random_() % 2 == 0 ? SIGINT : SIGQUIT);
    pause();
    ASSERT_TRUE(primary_->begin());
  }
  void stop_and_continue(int i) {
    replica(i).pause();
    sleep(milliseconds(3'000 + random_() % 3'000));
    replica(i).resume();
  }
  void fail_over_to_the_standby() {
    primary_->end(SIGQUIT);
    pause();
    ASSERT_TRUE(standby_->promote());
  }
  void pause() { sleep(milliseconds(200 + random_() % 1'500)); }

  const unsigned seed_ = std::getenv("FW_SEED") != nullptr
                             ? static_cast<unsigned>(std::stoul(std::getenv("FW_SEED")))
                             : std::random_device()();
  std::mt19937 random_{seed_};
  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  std::unique_ptr<PostgresServer> primary_;
  std::unique_ptr<PostgresServer> standby_;
  std::vector<std::unique_ptr<ReplicaProcess>> replicas_;
  std::vector<Endpoint> operator_;
};

TEST_F(Failover, NoWriteIsLostOrDoneTwiceAndWatchesAreWholeWhateverGoesAway) {
  Recorder recorder(endpoints());
  const int64_t first = recorder.mark("k0");
  ASSERT_GT(first, 0);
  std::atomic<int64_t> until = 0;
  std::vector<std::jthread> watchers;
  std::vector<std::jthread> writers;
  for (size_t i = 0; i < kReplicas; ++i)
    watchers.emplace_back(
        [&, i] { recorder.watch("watcher" + std::to_string(i), i, first - 1, until); });
  for (int i = 1; i <= kWriters; ++i)
    writers.emplace_back([&, i](const std::stop_token& stop) {
      std::mt19937 random(seed_ + static_cast<unsigned>(i));
      while (!stop.stop_requested()) {
        recorder.step(i, random);
        sleep(milliseconds(random() % 10));
      }
    });
  const auto run = [&](const char* what, const auto& fault) {
    pause();
    if (HasFatalFailure()) return;
    printf("%s\n", what);
    fault();
  };
  run("the holder of the lease is killed", [&] { kill_the_holder(); });
  run("the database is restarted", [&] { restart_the_database(); });
  run("the holder of the lease stands still", [&] { stop_and_continue(std::max(0, holder())); });
  run("another server stands still",
      [&] { stop_and_continue((std::max(0, holder()) + 1) % kReplicas); });
  run("the database fails over to its standby", [&] { fail_over_to_the_standby(); });
  run("the holder of the lease is killed again", [&] { kill_the_holder(); });
  run("that was all", [] {});
  writers.clear();  // what comes after the mark is nobody's
  until = recorder.mark("k0");
  watchers.clear();
  ASSERT_FALSE(HasFatalFailure());

  recorder.take_log(static_cast<size_t>(random_() % kReplicas), first - 1, until);
  const History history = recorder.history();
  const auto wrong = find_violation(history);
  EXPECT_FALSE(wrong) << *wrong;
  std::map<Operation::Outcome, int> outcomes;
  for (const Operation& operation : history.operations) ++outcomes[operation.outcome];
  printf("%d done, %d refused, %d of unknown end; %zu writes in the log\n",
         outcomes[Operation::Outcome::kOk], outcomes[Operation::Outcome::kRefused],
         outcomes[Operation::Outcome::kUnknown], history.log.size());
  for (const auto& [text, count] : recorder.errors()) printf("  %dx %s\n", count, text.c_str());
  EXPECT_GT(outcomes[Operation::Outcome::kOk], 500) << "it has hardly worked";
}

TEST_F(Failover, AServerThatDoesNotBelongIsToldWhy) {
  const auto start_and_end = [](ReplicaProcess& server) {
    server.start();
    const int status = server.wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    return server.log();
  };
  const std::string store = primary_->conninfo("fleet");
  ReplicaProcess bare(directory_.path() / "bare", "bare", store, *PostgresServer::free_port());
  EXPECT_NE(start_and_end(bare).find("ca.pem: is missing, and the fleet has one: copy ca.pem"),
            std::string::npos)
      << bare.log();

  ReplicaProcess stranger(directory_.path() / "stranger", "stranger", store,
                          *PostgresServer::free_port());
  replica(0).copy_keys_to(stranger);
  ASSERT_TRUE(write_file(directory_.path() / "stranger/admin.token",
                         "another-" + std::string(40, 'x'), 0600));
  EXPECT_NE(start_and_end(stranger).find("admin.token: is not the one of this fleet"),
            std::string::npos)
      << stranger.log();

  ReplicaProcess twin(directory_.path() / "twin", replica(1).name(), store,
                      *PostgresServer::free_port());
  replica(0).copy_keys_to(twin);
  EXPECT_NE(start_and_end(twin).find("--replica-name"), std::string::npos) << twin.log();
}

}  // namespace
}  // namespace frameworks
