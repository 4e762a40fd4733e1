// How many machines of which size a cluster has. Written by operators; its nodes are derived.
#include <fmt/format.h>

#include "base/text.h"
#include "frameworks/v1/cluster.pb.h"
#include "model/kinds.h"
#include "model/rules.h"

namespace frameworks {
namespace {

constexpr int64_t kMaxWanDelaySeconds = 10;

void defaults(pb::MachinePool& pool) {
  pb::MachinePoolSpec& spec = *pool.mutable_spec();
  if (spec.provider().empty()) spec.set_provider("local");
  if (spec.size().cpus() == 0) spec.mutable_size()->set_cpus(1);
  if (spec.size().memory_mb() == 0) spec.mutable_size()->set_memory_mb(1024);
}

void validate(const pb::MachinePool& pool, Validation& out) {
  const pb::MachinePoolSpec& spec = pool.spec();
  if (spec.provider() != "local" && spec.provider() != "manual")
    out.fail("spec.provider",
             fmt::format("\"{}\" is no provider: use local or manual", spec.provider()));
  if (spec.provider() != "local" && spec.has_local())
    out.fail("spec.local", fmt::format("a pool of provider \"{}\" has no local machines: remove it",
                                       spec.provider()));
  constexpr size_t kMaxHostName = 63;
  if (fmt::format("{}-{}", spec.cluster(), spec.count()).size() > kMaxHostName)
    out.fail("spec.cluster",
             fmt::format("\"{}-{}\" is too long for a machine's name: use a cluster "
                         "with a shorter name",
                         spec.cluster(), spec.count()));
  const auto& delay = spec.local().wan_delay();
  if (delay.seconds() < 0 || delay.nanos() < 0 || delay.seconds() >= kMaxWanDelaySeconds)
    out.fail("spec.local.wanDelay",
             fmt::format("a delay is from 0s to below {}s: change it", kMaxWanDelaySeconds));
}

}  // namespace

Kind machine_pool_kind() {
  return make_kind<pb::MachinePool>({
      .defaults = defaults,
      .validate = validate,
      .columns =
          {{"NAME", [](const auto& p) { return p.metadata().name(); }},
           {"CLUSTER", [](const auto& p) { return p.spec().cluster(); }},
           {"PROVIDER", [](const auto& p) { return p.spec().provider(); }},
           {"COUNT", [](const auto& p) { return std::to_string(p.spec().count()); }},
           {"CPUS", [](const auto& p) { return fmt::format("{:g}", p.spec().size().cpus()); }},
           {"MEMORY",
            [](const auto& p) { return fmt::format("{} MiB", p.spec().size().memory_mb()); }}},
      .index =
          [](const auto& p) {
            return std::vector<std::pair<std::string, std::string>>{
                {"cluster", p.spec().cluster()}};
          },
  });
}

}  // namespace frameworks
