#include "simulation/simulation.h"

#include "runtime/health/incident_write.h"
#include "simulation/faults.h"

namespace frameworks {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A flapping node is held for at most three half-lives after its last fall.
constexpr seconds kCalm{260};
// All must be well for so long before the end is called calm; in one schedule of so many it is
// waited to the end all the same: what is well stays so.
constexpr seconds kLook{2};
constexpr int kLooks = 5;
constexpr uint64_t kToTheEnd = 8;

void wait_until_settled(World& world, Expectations& expectations, bool to_the_end) {
  std::vector<std::string> unsettled;
  int looks = 0;
  for (const MonoTime end = world.now() + kCalm; world.now() < end;) {
    world.pass(kLook);
    unsettled = expectations.unsettled();
    looks = unsettled.empty() ? looks + 1 : 0;
    if (looks >= kLooks && !to_the_end) break;
  }
  for (const std::string& what : unsettled) world.violate(what);
}

}  // namespace

SimulationResult simulate(const SimulationOptions& options) {
  World world(options.seed, options.agents);
  Expectations expectations(world);
  world.after_server = [&] { expectations.watch(); };
  Faults faults(world, expectations);

  world.pass(seconds(15));
  if (!world.network().is_lossy()) {
    faults.cut_power();
    world.pass(seconds(8));
  }
  for (int i = 0; i < options.faults && world.violations().empty(); ++i) {
    faults.next();
    world.pass(world.chance.pick_ms(500, 12'000));
    expectations.check_between();
  }
  faults.heal();
  wait_until_settled(world, expectations, options.seed % kToTheEnd == 0);

  SimulationResult result;
  result.violations = world.violations();
  result.detections_ms = std::move(expectations.detections_ms);
  result.false_alarms = expectations.false_alarms;
  result.simulated_ms = world.now().time_since_epoch() / milliseconds(1);
  result.messages = world.network().posted();
  const SnapshotPtr snapshot = world.store().snapshot();
  result.revisions = snapshot->revision();
  result.incidents = static_cast<int>(snapshot->count(kind_of<pb::Incident>()));
  result.digest = expectations.digest;
  return result;
}

}  // namespace frameworks
