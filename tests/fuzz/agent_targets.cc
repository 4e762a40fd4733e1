// What an agent takes from its server, from its disk and from media servers beside it.
#include "agent/checks.h"
#include "agent/drain_sessions.h"
#include "agent/identity.h"
#include "agent/media_log.h"
#include "agent/plan.h"
#include "agent/tenancy.h"
#include "base/error.h"
#include "base/file.h"
#include "config/mesh/fake_wireguard.h"
#include "machine/network_security/fake_packet_filter.h"
#include "target.h"

namespace frameworks {
namespace {

// A plan as it comes from the stream; the last good one is what the next start finds on disk.
void node_plan(std::string_view bytes) {
  pb::PlanUpdate update;
  if (!update.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  static const auto& directory = *new TemporaryDirectory(std::move(*TemporaryDirectory::make()));
  const auto folder = directory.path();
  static bool made = write_file(folder / "hosts", "127.0.0.1 localhost\n").has_value();
  CHECK(made);
  Checks checks(make_simulated_prober(), system_clock(), [](const pb::CheckReport&) {});
  Tenancy tenancy;
  DrainSessions sessions(tenancy, system_clock());
  // Nobody is asked for sessions: the addresses are anybody's.
  if (update.has_checks())
    for (auto& instance : *update.mutable_checks()->mutable_instances()) instance.clear_sessions();
  const auto plan = [&] {
    return Plan(folder / "plan.pb",
                {std::make_unique<FakeWireguard>(), std::make_unique<FakePacketFilter>(),
                 folder / "hosts", folder / "sys"},
                std::string(44, 'A'), checks, tenancy, sessions, system_clock());
  };
  Plan first = plan();
  const pb::PlanAck ack = first.apply(update);
  CHECK(ack.revision() == update.revision());
  first.refresh();
  plan().restore();
}

void publish_form(std::string_view bytes) {
  Tenancy tenancy;
  pb::TenancySection section;
  auto& acme = *section.add_tenants();
  acme.set_tenant("acme");
  acme.mutable_limits()->set_viewers(1);
  tenancy.set(section);
  if (const auto parsed = parse_publish(bytes)) CHECK(!parsed->tenant.empty());
  (void)tenancy.may_publish(bytes);
  (void)tenancy.may_play(bytes);
  (void)tenancy.may_go_on(bytes);
  tenancy.stopped_playing(bytes);
  tenancy.ended(bytes);
}

// What nginx logs, or somebody else on the node.
void sent_file(std::string_view bytes) {
  if (const auto sent = parse_sent_file(bytes)) CHECK(!sent->tenant.empty() && sent->bytes >= 0);
}

// A certificate that the server sends.
void node_certificate(std::string_view bytes) {
  static const auto& directory = *new TemporaryDirectory(std::move(*TemporaryDirectory::make()));
  static Identity& identity =
      *new Identity(std::move(*Identity::load_or_create(directory.path() / "state")));
  CHECK(!identity.store(std::string(bytes), {}).has_value());
}

}  // namespace

void add_agent_targets(std::vector<FuzzTarget>& out) {
  out.insert(out.end(), {{"node_plan", node_plan},
                         {"publish_form", publish_form},
                         {"sent_file", sent_file},
                         {"node_certificate", node_certificate}});
}

}  // namespace frameworks
