#include "stalls.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "figure.h"
#include "fleet_maker.h"

namespace frameworks::bench {
namespace {

struct Stall {
  Clock::time_point from;
  Clock::time_point to;
};

std::vector<Stall> stalls_of(int processor, Clock::time_point end) {
  constexpr std::chrono::microseconds kShort{5};
  run_on({processor});
  std::vector<Stall> out;
  auto last = Clock::now();
  while (last < end) {
    const auto now = Clock::now();
    if (now - last > kShort) out.push_back({last, now});
    last = now;
  }
  return out;
}

// When a thread runs that wants to at `time`.
Clock::time_point runs_at(const std::vector<Stall>& stalls, Clock::time_point time) {
  const auto at = std::partition_point(stalls.begin(), stalls.end(),
                                       [&](const Stall& stall) { return stall.to <= time; });
  return at == stalls.end() || at->from >= time ? time : at->to;
}

}  // namespace

Histogram machine_stalls(int client, int server, double rate, std::chrono::milliseconds length) {
  const auto began = Clock::now();
  const auto end = began + length;
  std::vector<Stall> of_client;
  std::vector<Stall> of_server;
  {
    const std::jthread one([&] { of_client = stalls_of(client, end); });
    const std::jthread other([&] { of_server = stalls_of(server, end); });
  }
  Histogram out;
  const std::chrono::nanoseconds gap(static_cast<int64_t>(1e9 / rate));
  // Both have begun to look after a while.
  for (auto due = began + length / 10; due < end; due += gap)
    out.add(runs_at(of_client, runs_at(of_server, runs_at(of_client, due))) - due);
  return out;
}

}  // namespace frameworks::bench
