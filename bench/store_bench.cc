// The store against the plainest thing that could do each of its jobs.
//
// What is measured and its baseline take turns, round by round, so that a busy machine slows both;
// each figure is the median of the rounds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/fd.h"
#include "base/file.h"
#include "client.h"
#include "figure.h"
#include "fleet_maker.h"
#include "frameworks/v1/tenant.pb.h"
#include "store/fake_log.h"
#include "store/store.h"

namespace frameworks::bench {
namespace {

constexpr int kEntries = 100'000;
constexpr int kRounds = 5;

std::string name_of(int number) { return fmt::format("tenant-{:06}", number); }

pb::Tenant tenant(int number, int version) {
  pb::Tenant out;
  out.mutable_metadata()->set_name(name_of(number));
  out.mutable_metadata()->set_uid("123e4567-e89b-42d3-a456-426614174000");
  out.mutable_spec()->set_display_name(fmt::format("Tenant number {} version {}", number, version));
  out.mutable_spec()->set_plan("pro");
  out.mutable_spec()->set_subdomain(out.metadata().name());
  out.mutable_spec()->mutable_limits()->set_streams(100);
  return out;
}

// Of the write `i` of a round: a resource that is written again in it differs.
int version_of(int round, int i) { return round * 1'000 + i / kEntries; }

template <typename T>
T check(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "{}\n", result.error().text());
  std::exit(1);
}

Edit put_all(int from, int to) {
  return [=](Transaction& transaction) -> Status {
    for (int i = from; i < to; ++i) transaction.put(tenant(i, 0));
    return {};
  };
}

std::unique_ptr<Store> full_store(std::unique_ptr<Log> log, Store::Options options = {}) {
  auto store = check(Store::open(std::move(log), system_clock(), options));
  check(store->write("bench", put_all(0, kEntries)));
  return store;
}

// A fixed random order, the same for both sides.
std::vector<std::string> lookup_names() {
  std::vector<std::string> out;
  uint64_t state = 88172645463325252;
  for (int i = 0; i < 300'000; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    out.push_back(name_of(static_cast<int>(state % kEntries)));
  }
  return out;
}

template <typename Find>
double lookups_per_second(const std::vector<std::string>& names, int threads, Find make_find) {
  std::atomic<size_t> found = 0;
  const double took = seconds([&] {
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t)
      all.emplace_back([&] {
        auto find = make_find();
        size_t here = 0;
        for (const std::string& name : names) here += find(name)->has_spec() ? 1 : 0;
        found += here;
      });
  });
  CHECK(found == names.size() * static_cast<size_t>(threads));
  return static_cast<double>(found) / took;
}

void lookups() {
  say("store: lookups among 100,000 tenants");
  const auto store = full_store(std::make_unique<FakeLog>());
  std::unordered_map<std::string, std::shared_ptr<const pb::Tenant>> map;
  for (const auto& each : store->snapshot()->list<pb::Tenant>())
    map[each->metadata().name()] = each;
  const auto* plain = &map;
  const std::vector<std::string> names = lookup_names();
  const auto in_snapshot = [&] {
    return [reader = SnapshotReader(*store)](const std::string& name) mutable {
      return reader.current().find<pb::Tenant>(name);
    };
  };
  const auto in_map = [&] {
    return [plain](const std::string& name) { return plain->find(name)->second.get(); };
  };
  for (const int threads : {1, 2}) {
    std::vector<double> ours;
    std::vector<double> theirs;
    for (int round = 0; round < kRounds; ++round) {
      ours.push_back(lookups_per_second(names, threads, in_snapshot));
      theirs.push_back(lookups_per_second(names, threads, in_map));
    }
    const double value = median(ours);
    const double baseline = median(theirs);
    print({fmt::format("store lookup, {} thread{}", threads, threads == 1 ? "" : "s"), value / 1e6,
           "M/s", "ratio >= 0.8", value >= 0.8 * baseline, baseline / 1e6,
           "std::unordered_map under a raw pointer"});
  }
}

void publication() {
  say("store: publishing one write among 100,000");
  const auto store = full_store(std::make_unique<FakeLog>());
  std::unordered_map<std::string, std::shared_ptr<const pb::Tenant>> map;
  for (const auto& each : store->snapshot()->list<pb::Tenant>())
    map[each->metadata().name()] = each;
  auto published = store->snapshot();
  auto published_map =
      std::make_shared<const std::unordered_map<std::string, std::shared_ptr<const pb::Tenant>>>(
          map);
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < 2'000; ++i) {
    const auto changed = Resource::of(tenant(i * 49 % kEntries, i));
    ours.push_back(seconds([&] {
      Snapshot next = *published;
      next.put(changed);
      published = std::make_shared<const Snapshot>(std::move(next));
    }));
    if (i % 100 != 0) continue;
    theirs.push_back(seconds([&] {
      auto next = *published_map;
      next[changed.name()] = changed.share<pb::Tenant>();
      published_map = std::make_shared<const decltype(next)>(std::move(next));
    }));
  }
  const double value = median(ours);
  const double baseline = median(theirs);
  print({"store publish one write at 100k", value * 1e6, "us", "ratio <= 0.01",
         value <= 0.01 * baseline, baseline * 1e6, "copying a whole std::unordered_map"});
}

// A file that records are appended to, as plainly as it goes.
class RawLog {
 public:
  explicit RawLog(const std::string& path)
      : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    CHECK(fd_.valid());
  }
  void append(const std::string& records) {
    CHECK(write(fd_.get(), records.data(), records.size()) == static_cast<ssize_t>(records.size()));
    CHECK(fdatasync(fd_.get()) == 0);
  }

 private:
  Fd fd_;
};

std::unique_ptr<Store> store_in(const TemporaryDirectory& directory) {
  return full_store(check(open_sqlite_log(directory.path() / "fleet.db")));
}

void single_writes() {
  say("store: durable writes, one at a time");
  const TemporaryDirectory directory = check(TemporaryDirectory::make());
  const auto store = store_in(directory);
  RawLog raw(directory.path() / "raw");
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < 3'000; ++i) {
    const std::string record = tenant(i, i + 1).SerializeAsString();
    ours.push_back(seconds([&] {
      check(store->write("bench", [&](Transaction& transaction) -> Status {
        transaction.put(tenant(i * 31 % kEntries, i + 1));
        return {};
      }));
    }));
    theirs.push_back(seconds([&] { raw.append(record); }));
  }
  std::vector<double> sorted = ours;
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> sorted_raw = theirs;
  std::sort(sorted_raw.begin(), sorted_raw.end());
  const double value = median(ours);
  const double baseline = median(theirs);
  print({"store durable write p50", value * 1e6, "us", "ratio <= 2", value <= 2 * baseline,
         baseline * 1e6, "append and fdatasync p50"});
  const double tail = sorted[sorted.size() * 99 / 100];
  const double raw_tail = sorted_raw[sorted_raw.size() * 99 / 100];
  print({"store durable write p99", tail * 1e6, "us", "ratio <= 3", tail <= 3 * raw_tail,
         raw_tail * 1e6, "append and fdatasync p99"});
}

// Writes with at most `in_flight` unanswered, each of another resource and each a change. This thread
// is woken when a half may be asked for anew, as a client reads what answers have come together.
double store_writes_per_second(Store& store, int count, int in_flight, int version) {
  std::atomic<int> flying = 0;
  std::mutex mutex;
  std::condition_variable changed;
  const auto wait_for = [&](int at_most) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return flying <= at_most; });
  };
  return count / seconds([&] {
           for (int i = 0; i < count; ++i) {
             if (flying >= in_flight) wait_for(in_flight / 2);
             ++flying;
             store.write_async(
                 "bench",
                 [number = i * 31 % kEntries,
                  version = version_of(version, i)](Transaction& transaction) -> Status {
                   transaction.put(tenant(number, version));
                   return {};
                 },
                 [&](const Result<Committed>& done) {
                   CHECK(done.has_value() && done->changes.size() == 1);
                   std::lock_guard lock(mutex);
                   const int left = --flying;
                   if (left == in_flight / 2 || left == 0) changed.notify_one();
                 });
           }
           wait_for(0);
         });
}

double raw_writes_per_second(RawLog& raw, int count, int in_flight, int version) {
  return count / seconds([&] {
           for (int i = 0; i < count; i += in_flight) {
             std::string records;
             for (int j = 0; j < in_flight; ++j) tenant(i + j, version).AppendToString(&records);
             raw.append(records);
           }
         });
}

// etcd on this host, as operators run it: its own durability, its gRPC in the clear on loopback, asked
// by a client that costs next to nothing. One connection; `in_flight` puts of the same bytes.
class Etcd {
 public:
  // Null when it is not installed.
  static std::unique_ptr<Etcd> start(const std::filesystem::path& folder) {
    if (!std::filesystem::exists("/usr/bin/etcd")) return nullptr;
    return std::make_unique<Etcd>(folder);
  }
  explicit Etcd(const std::filesystem::path& folder) {
    port_ = 20'000 + static_cast<int>(getpid() % 10'000) * 2;
    const auto url = [](int port) { return fmt::format("http://127.0.0.1:{}", port); };
    child_ = std::make_unique<Child>(
        std::vector<std::string>{"/usr/bin/etcd", "--data-dir", (folder / "etcd").string(),
                                 "--listen-client-urls", url(port_), "--advertise-client-urls",
                                 url(port_), "--listen-peer-urls", url(port_ + 1),
                                 "--initial-advertise-peer-urls", url(port_ + 1),
                                 "--initial-cluster", "default=" + url(port_ + 1)},
        std::vector<int>{}, folder / "etcd.log");
    for (int i = 0; i < 500 && !accepts(); ++i)
      system_clock().sleep_for(std::chrono::milliseconds(20), {});
    client_ = std::make_unique<GrpcClient>(loop_, port_, nullptr,
                                           GrpcClient::Events{{}, [this](uint32_t, uint64_t answers) {
                                                                CHECK(answers == 1);
                                                                --flying_;
                                                              }});
  }

  double writes_per_second(int count, int in_flight, int version) {
    return count / seconds([&] {
             for (int i = 0; i < count; ++i) {
               while (flying_ >= in_flight) loop_.turn(std::chrono::milliseconds(10));
               // PutRequest: key = 1, value = 2.
               const std::string value = tenant(i, version_of(version, i)).SerializeAsString();
               ++flying_;
               client_->call("/etcdserverpb.KV/Put", {},
                             field(1, name_of(i * 31 % kEntries)) + field(2, value),
                             GrpcClient::Side::kEnds);
             }
             while (flying_ > 0) loop_.turn(std::chrono::milliseconds(10));
           });
  }

 private:
  static std::string field(int number, const std::string& bytes) {
    std::string out(1, static_cast<char>(number << 3 | 2));
    size_t size = bytes.size();
    for (; size >= 128; size /= 128) out += static_cast<char>(size % 128 + 128);
    return out + static_cast<char>(size) + bytes;
  }
  bool accepts() const {
    const Fd fd(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  int port_ = 0;
  std::unique_ptr<Child> child_;
  Loop loop_;
  std::unique_ptr<GrpcClient> client_;
  int flying_ = 0;
};

void grouped_writes(int in_flight) {
  say(fmt::format("store: durable writes, {} in flight", in_flight));
  // Long enough that each round has its share of compaction.
  const int count = env_or("FW_BENCH_WRITES", 200'000);
  const TemporaryDirectory directory = check(TemporaryDirectory::make());
  const auto store = store_in(directory);
  RawLog raw(directory.path() / "raw");
  const auto etcd = Etcd::start(directory.path());
  std::vector<double> ours;
  std::vector<double> theirs;
  std::vector<double> others;
  for (int round = 1; round <= kRounds; ++round) {
    ours.push_back(store_writes_per_second(*store, count, in_flight, round));
    theirs.push_back(raw_writes_per_second(raw, count, in_flight, round));
    if (etcd != nullptr) others.push_back(etcd->writes_per_second(count, in_flight, round));
    say(fmt::format("store {:.0f}/s, raw log {:.0f}/s, etcd {:.0f}/s", ours.back(), theirs.back(),
                    others.empty() ? 0.0 : others.back()));
  }
  const double value = median(ours);
  const double baseline = median(theirs);
  print({fmt::format("store durable writes, {} in flight", in_flight), value, "writes/s",
         "ratio >= 0.5", value >= 0.5 * baseline, baseline,
         fmt::format("raw appended log, fdatasync each {}", in_flight)});
  if (etcd == nullptr) return say("store: etcd is not installed: not compared");
  const double etcds = median(others);
  print({fmt::format("store and etcd, {} in flight", in_flight), value, "writes/s", "ratio >= 5",
         value >= 5 * etcds, etcds, "etcd 3.4 by gRPC on loopback (the store is in this process)"});
}

}  // namespace
}  // namespace frameworks::bench

int main() {
  frameworks::bench::lookups();
  frameworks::bench::publication();
  frameworks::bench::single_writes();
  for (const int in_flight : {64, 256}) frameworks::bench::grouped_writes(in_flight);
}
