// Fleet/Status: where a revision has arrived, plane by plane.
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include "model/words.h"
#include "runtime/inventory/inventory.h"
#include "server/handlers.h"

#ifndef FW_VERSION
#define FW_VERSION "0.0.0"
#endif

namespace frameworks {
namespace {

using google::protobuf::util::TimeUtil;

int64_t nanoseconds(Duration duration) { return duration.count(); }

pb::PlaneStatus& add_plane(pb::StatusResponse& response, const char* name) {
  auto& plane = *response.add_planes();
  plane.set_plane(name);
  return plane;
}

void add_node(pb::PlaneStatus& plane, const std::string& node, bool converged,
              const std::string& why) {
  plane.set_total(plane.total() + 1);
  if (converged)
    plane.set_converged(plane.converged() + 1);
  else
    plane.add_waiting(fmt::format("{}: {}", node, why));
  plane.set_elapsed_ms(plane.waiting().empty() ? 0 : -1);
}

void add_machine_plane(const Snapshot& snapshot, pb::StatusResponse& response) {
  auto& plane = add_plane(response, "machine");
  for (const auto& node : snapshot.list<pb::Node>()) {
    if (node->spec().pool().empty()) continue;
    const auto& machine = node->status().machine();
    add_node(plane, node->metadata().name(), machine.state() == pb::MACHINE_STATE_RUNNING,
             machine.state() == pb::MACHINE_STATE_UNSPECIFIED ? "has no machine yet"
             : machine.message().empty() ? "machine is " + word(machine.state())
                                         : machine.message());
  }
}

void add_config_plane(const Snapshot& snapshot, pb::StatusResponse& response) {
  auto& plane = add_plane(response, "config");
  for (const auto& node : snapshot.list<pb::Node>()) {
    const auto& configuration = node->status().configuration();
    const bool converged = configuration.version() == host_version(snapshot, *node);
    add_node(plane, node->metadata().name(), converged,
             !configuration.error().empty()    ? configuration.error()
             : configuration.version().empty() ? "has not been configured yet"
                                               : "has an older configuration");
  }
}

void add_session_planes(const Fleet& fleet, Revision revision, pb::StatusResponse& response) {
  for (const auto& from : fleet.sessions.convergence(revision)) {
    auto& plane = add_plane(response, from.name.c_str());
    plane.set_total(from.total);
    int nodes = 0;
    for (const auto& waiting : from.waiting) {
      if (!waiting.node.empty()) ++nodes;
      plane.add_waiting(waiting.node.empty() ? waiting.error
                                             : fmt::format("{}: {}", waiting.node, waiting.error));
    }
    plane.set_converged(from.total - nodes);
    plane.set_elapsed_ms(
        from.elapsed ? std::chrono::duration_cast<std::chrono::milliseconds>(*from.elapsed).count()
                     : -1);
  }
}

template <typename Status>
std::string state_name(const Status& status) {
  return status.state() == pb::HEALTH_UNSPECIFIED ? "unknown" : word(status.state());
}

void count_health(const Snapshot& snapshot, pb::StatusResponse& response) {
  // Those that vanished with very many others are told apart from what is suspect for a moment.
  for (const auto& node : snapshot.list<pb::Node>()) {
    const pb::NodeHealth& health = node->status().health();
    ++(*response.mutable_nodes())[health.held() ? "held" : state_name(health)];
  }
  for (const auto& instance : snapshot.list<pb::Instance>())
    ++(*response.mutable_instances())[state_name(instance->status())];
}

}  // namespace

Status fill_status(const Fleet& fleet, const pb::StatusRequest& request,
                   pb::StatusResponse& response) {
  const SnapshotPtr snapshot = fleet.store.snapshot();
  const Revision revision = request.revision() == 0 ? snapshot->revision() : request.revision();
  if (revision > snapshot->revision())
    return Error(Code::kOutOfRange, fmt::format("revision {} is not there yet; the newest is {}",
                                                revision, snapshot->revision()));
  response.set_revision(revision);
  if (revision > 0)
    *response.mutable_revision_time() = TimeUtil::NanosecondsToTimestamp(
        nanoseconds(std::chrono::duration_cast<Duration>(snapshot->time().time_since_epoch())));
  add_node(add_plane(response, "model"), "", true, "");
  add_machine_plane(*snapshot, response);
  add_config_plane(*snapshot, response);
  add_session_planes(fleet, revision, response);
  count_health(*snapshot, response);
  response.set_server(fleet.server);
  response.set_server_version(FW_VERSION);
  *response.mutable_uptime() = TimeUtil::NanosecondsToDuration(
      nanoseconds(std::chrono::duration_cast<Duration>(fleet.clock.wall() - fleet.started)));
  response.set_simulated(fleet.simulated);
  return {};
}

}  // namespace frameworks
