// The store against the plainest thing that could do each of its jobs.
//
// What is measured and its baseline take turns, round by round, so that a busy machine slows both;
// each figure is the median of the rounds.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/fd.h"
#include "base/file.h"
#include "figure.h"
#include "frameworks/v1/tenant.pb.h"
#include "store/fake_log.h"
#include "store/store.h"

namespace frameworks::bench {
namespace {

constexpr int kEntries = 100'000;
constexpr int kRounds = 7;

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

// Writes with at most `in_flight` unanswered, each of another resource.
double store_writes_per_second(Store& store, int count, int in_flight, int version) {
  std::mutex mutex;
  std::condition_variable changed;
  int flying = 0;
  return count / seconds([&] {
           for (int i = 0; i < count; ++i) {
             {
               std::unique_lock lock(mutex);
               changed.wait(lock, [&] { return flying < in_flight; });
               ++flying;
             }
             store.write_async(
                 "bench",
                 [number = i * 31 % kEntries, version](Transaction& transaction) -> Status {
                   transaction.put(tenant(number, version));
                   return {};
                 },
                 [&](const Result<Committed>& done) {
                   CHECK(done.has_value());
                   std::lock_guard lock(mutex);
                   --flying;
                   changed.notify_one();
                 });
           }
           std::unique_lock lock(mutex);
           changed.wait(lock, [&] { return flying == 0; });
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

void grouped_writes() {
  say("store: durable writes, 64 in flight");
  constexpr int kCount = 20'000;
  constexpr int kInFlight = 64;
  const TemporaryDirectory directory = check(TemporaryDirectory::make());
  const auto store = store_in(directory);
  RawLog raw(directory.path() / "raw");
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int round = 1; round <= kRounds; ++round) {
    ours.push_back(store_writes_per_second(*store, kCount, kInFlight, round));
    theirs.push_back(raw_writes_per_second(raw, kCount, kInFlight, round));
  }
  const double value = median(ours);
  const double baseline = median(theirs);
  print({"store durable writes, 64 in flight", value, "writes/s", "ratio >= 0.5",
         value >= 0.5 * baseline, baseline, "raw appended log, fdatasync each 64"});
}

}  // namespace
}  // namespace frameworks::bench

int main() {
  frameworks::bench::lookups();
  frameworks::bench::publication();
  frameworks::bench::single_writes();
  frameworks::bench::grouped_writes();
}
