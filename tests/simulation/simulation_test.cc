// Schedules of faults from seeds.
//
//   simulation_test                                  200 schedules of 500 agents
//   simulation_test --schedules 10000                the slow set; --first 5001 begins there
//   simulation_test --seed 17 --agents 24            one schedule again, as a failure names it
#include "simulation/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/log.h"

namespace frameworks {
namespace {

struct Given {
  uint64_t seed = 0;  // 0: none
  uint64_t first = 1;
  int schedules = 0;  // 0: the quick set
  int agents = 0;
};
Given given;

// Runs schedules with these seeds; what they found together.
void run(uint64_t first, int schedules, int agents) {
  std::vector<int64_t> detections;
  int64_t messages = 0;
  int64_t seconds = 0;
  int incidents = 0;
  int false_alarms = 0;
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(schedules); ++seed) {
    const SimulationResult result = simulate({.seed = seed, .agents = agents});
    for (const std::string& violation : result.violations)
      ADD_FAILURE() << fmt::format("--seed {} --agents {}: {}", seed, agents, violation);
    if (!result.violations.empty()) return;
    detections.insert(detections.end(), result.detections_ms.begin(), result.detections_ms.end());
    messages += result.messages;
    seconds += result.simulated_ms / 1000;
    incidents += result.incidents;
    false_alarms += result.false_alarms;
  }
  std::sort(detections.begin(), detections.end());
  const auto p99 = detections.empty() ? 0 : detections[(detections.size() - 1) * 99 / 100];
  fmt::print(
      "{} schedules of {} agents: {} s simulated, {} messages, {} incidents, {} false alarms, "
      "power cuts found: {} (p99 {} ms)\n",
      schedules, agents, seconds, messages, incidents, false_alarms, detections.size(), p99);
}

TEST(Simulation, WhatMustHoldDoesUnderEverySchedule) {
  if (given.seed != 0) return run(given.seed, 1, given.agents == 0 ? 500 : given.agents);
  if (given.schedules != 0)
    return run(given.first, given.schedules, given.agents == 0 ? 500 : given.agents);
  run(1, FW_SCHEDULES, 500);
}

TEST(Simulation, TheSameSeedIsTheSameSchedule) {
  const SimulationOptions options{.seed = 7, .agents = 30};
  const SimulationResult once = simulate(options);
  const SimulationResult again = simulate(options);
  EXPECT_EQ(once.digest, again.digest);
  EXPECT_EQ(once.messages, again.messages);
  EXPECT_NE(once.digest, simulate({.seed = 8, .agents = 30}).digest);
}

}  // namespace
}  // namespace frameworks

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (flag == "--seed") frameworks::given.seed = value;
    if (flag == "--first") frameworks::given.first = value;
    if (flag == "--schedules") frameworks::given.schedules = static_cast<int>(value);
    if (flag == "--agents") frameworks::given.agents = static_cast<int>(value);
  }
  // Of one schedule it is told what happened.
  if (frameworks::given.seed == 0) spdlog::set_level(spdlog::level::off);
  return RUN_ALL_TESTS();
}
